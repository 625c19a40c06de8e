/**
 * One lab for all tests against the lab: the whole estate, named `test`, in state healthy. It is made anew, so that nothing of an interrupted run is
 * left in it, and removed at the end. NIGHTSHIFT_KEEP_LAB=1 keeps it, for looking at it afterwards.
 */
import type { TestProject } from 'vitest/node'
import { writeConfig } from '../../lab/config.js'
import { downLab } from '../../lab/down.js'
import { applyState } from '../../lab/estate/index.js'
import { upLab } from '../../lab/up.js'

declare module 'vitest' {
  interface ProvidedContext {
    lab: { name: string; home: string; config: string; state: string; temporal: string }
  }
}

const NAME = 'test'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  await downLab(NAME, { say })
  const lab = await upLab(NAME, { say })
  await writeConfig(lab)
  await applyState(lab, 'healthy', { log: say })
  const { home, config, state, temporal } = lab.paths
  project.provide('lab', { name: NAME, home, config, state, temporal })
  return async () => {
    if (process.env.NIGHTSHIFT_KEEP_LAB === '1') say(`the lab "${NAME}" is kept: npm run lab -- --lab ${NAME} down`)
    else await downLab(NAME, { say })
  }
}
