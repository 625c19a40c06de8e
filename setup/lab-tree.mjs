/** The lab's root tree, in the cache folder; `lab/tree.ts` knows how to make it and whether it is current. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './command.mjs'
import { root } from './folders.mjs'

const program = join(root, 'dist/lab/cli.js')

export const labTree = {
  name: 'lab root tree',
  isDone: async () => existsSync(program) && (await isCurrent()),
  async run(say) {
    await run(process.execPath, [program, 'tree'], { say, showStderr: true, next: 'check the network and /etc/apt/sources.list, then start again' })
  },
}

async function isCurrent() {
  const { isTreeCurrent } = await import(join(root, 'dist/lab/tree-check.js')).catch(() => ({ isTreeCurrent: undefined }))
  return isTreeCurrent === undefined ? false : await isTreeCurrent()
}
