/** Steps: only what is missing, one set-up at a time, and a lock that dies with its holder. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-steps-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A set-up of two steps: one done already, one that appends to a file as it begins and ends. */
function startSetup(holdMs: number, name: string) {
  const script = join(folder, `${name}.mjs`)
  writeFileSync(
    script,
    `import { doMissing } from ${JSON.stringify(join(packageRoot(), 'setup/steps.mjs'))}
     import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
     const log = ${JSON.stringify(join(folder, 'log'))}, made = ${JSON.stringify(join(folder, 'made'))}
     await doMissing([
       { name: 'tools', isDone: () => true, run: async () => appendFileSync(log, 'tools\\n') },
       { name: 'tree', isDone: () => existsSync(made), run: async () => {
         appendFileSync(log, ${JSON.stringify(name)} + ' begins\\n')
         process.stdout.write('begun\\n')
         await new Promise((resolve) => setTimeout(resolve, ${holdMs}))
         writeFileSync(made, '')
         appendFileSync(log, ${JSON.stringify(name)} + ' ends\\n') } },
     ])`,
  )
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, XDG_CACHE_HOME: folder } })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return { child, said: () => said, ended: once(child, 'close'), begun: once(child.stdout, 'data') }
}

const log = () => readFileSync(join(folder, 'log'), 'utf8').trim().split('\n')

describe('set-up steps', () => {
  it('does the missing ones only, with number, name and time', async () => {
    const setup = startSetup(0, 'first')
    await setup.ended
    expect(log()).toEqual(['first begins', 'first ends'])
    expect(setup.said()).toContain('nightshift set-up: tree')
    expect(setup.said()).toMatch(/\[1\/1\] tree …\n\[1\/1\] tree: done in \d+ s/)
  })

  it('two at once: the second waits, and then finds it done', async () => {
    const first = startSetup(700, 'first')
    await first.begun
    const second = startSetup(0, 'second')
    await Promise.all([first.ended, second.ended])
    expect(log()).toEqual(['first begins', 'first ends'])
    expect(second.said()).toContain('another set-up of nightshift is running')
    expect(second.said()).toContain('[1/1] tree: done already')
  })

  it('one that was killed leaves no lock behind', async () => {
    const first = startSetup(60_000, 'first')
    await first.begun
    first.child.kill('SIGKILL')
    await first.ended
    const second = startSetup(0, 'second')
    const [code] = (await second.ended) as [number]
    expect(code).toBe(0)
    expect(log()).toEqual(['first begins', 'second begins', 'second ends'])
  })

  it('says nothing when nothing is missing', async () => {
    writeFileSync(join(folder, 'made'), '')
    const setup = startSetup(0, 'first')
    await setup.ended
    expect(setup.said()).toBe('')
  })
})
