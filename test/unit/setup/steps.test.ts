/** Steps: only what is missing, one set-up at a time, and a lock that dies with its holder. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'
import { eventually } from '../../support/polling.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightshift-steps-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A set-up of two steps: one done already, one that appends to a file as it begins and ends. @param held it goes on when `go` lies in the folder */
function startSetup(name: string, held = false) {
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
         while (${held} && !existsSync(${JSON.stringify(join(folder, 'go'))})) await new Promise((resolve) => setTimeout(resolve, 20))
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
    const setup = startSetup('first')
    await setup.ended
    expect(log()).toEqual(['first begins', 'first ends'])
    expect(setup.said()).toContain('nightshift set-up: tree')
    expect(setup.said()).toMatch(/\[1\/1\] tree …\n\[1\/1\] tree: done in \d+ s/)
  })

  it('two at once: the second waits, and then finds it done', async () => {
    const first = startSetup('first', true)
    await first.begun
    const second = startSetup('second')
    await eventually('the second waits', () => second.said().includes('another set-up of nightshift is running'))
    writeFileSync(join(folder, 'go'), '')
    await Promise.all([first.ended, second.ended])
    expect(log()).toEqual(['first begins', 'first ends'])
    expect(second.said()).toContain('[1/1] tree: done already')
  })

  it('one that was killed leaves no lock behind', async () => {
    const first = startSetup('first', true)
    await first.begun
    first.child.kill('SIGKILL')
    await first.ended
    const second = startSetup('second')
    const [code] = (await second.ended) as [number]
    expect(code).toBe(0)
    expect(log()).toEqual(['first begins', 'second begins', 'second ends'])
  })

  it('says nothing when nothing is missing', async () => {
    writeFileSync(join(folder, 'made'), '')
    const setup = startSetup('first')
    await setup.ended
    expect(setup.said()).toBe('')
  })
})
