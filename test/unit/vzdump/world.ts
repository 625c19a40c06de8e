/** Readings taken from a lab in its two states, and the runbook files that belong to them. */
import { cpSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { editRunbooks } from '../../../lab/estate/config-edits.js'
import type { RunbookSet } from '../../../src/domain/estate.js'
import type { ProofOnRecord } from '../../../src/domain/retention/groups.js'
import type { Row, VzdumpObservation } from '../../../src/domain/vzdump/observation.js'
import { type JobsPlan, planVzdumpJobs } from '../../../src/domain/vzdump/plan.js'
import { parseVzdumpReading } from '../../../src/domain/vzdump/reader.js'
import type { VzdumpHost, VzdumpRunbook } from '../../../src/domain/vzdump-runbook.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'

export const TODAY = '2026-11-21'

/** `home-as-found-archives`: five archives of 100 and two of 102 lie on the storage that keeps everything. */
export type Seen = 'home-as-found' | 'home-as-found-archives' | 'home-healthy' | 'shop-as-found' | 'shop-healthy'

export function observation(name: Seen): VzdumpObservation {
  const host = name.startsWith('home') ? 'proxmox-home' : 'pve'
  return parseVzdumpReading(host, 'pve', readFileSync(`test/fixtures/vzdump/${name}.json`, 'utf8'))
}

/** The lab's own copy of the runbooks in that state. */
export async function runbooks(state: 'healthy' | 'as-found'): Promise<RunbookSet> {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-vzdump-'))
  cpSync('runbooks', folder, { recursive: true })
  editRunbooks(folder, state, new Date('2026-11-21T12:00:00Z'))
  return await loadRunbooks(folder)
}

export function plan(seen: VzdumpObservation, set: RunbookSet, today = TODAY, proofs: readonly ProofOnRecord[] = []): JobsPlan {
  return planVzdumpJobs(seen, set, today, proofs)
}

/** The same files with another entry for this host. */
export function withEntry(set: RunbookSet, host: string, change: (entry: VzdumpHost) => Partial<VzdumpHost>): RunbookSet {
  const vzdump = set.vzdump as VzdumpRunbook
  return { ...set, vzdump: { ...vzdump, hosts: vzdump.hosts.map((entry) => (entry.host === host ? { ...entry, ...change(entry) } : entry)) } }
}

/** The same observation with another row for this job; `null` takes the job away. */
export function withJob(seen: VzdumpObservation, id: string, change: Row | null): VzdumpObservation {
  const others = seen.jobs.filter((job) => job.id !== id)
  const own = seen.jobs.find((job) => job.id === id)
  return {
    ...seen,
    jobs: change === null ? others : seen.jobs.map((job) => (job === own ? { ...own, ...change } : job)).concat(own ? [] : [{ id, ...change }]),
  }
}

export const stepsOf = (planned: JobsPlan): string[] => planned.draft.steps.map((step) => step.id)
export const step = (planned: JobsPlan, id: string) => {
  const found = planned.draft.steps.find((each) => each.id === id)
  if (found === undefined) throw new Error(`the plan has no step "${id}", but ${stepsOf(planned).join(', ')}`)
  return found
}
export const codesOf = (planned: JobsPlan): string[] => planned.draft.warnings.map((warning) => warning.code)
export const argvOf = (planned: JobsPlan, id: string) => {
  const { effect } = step(planned, id)
  return effect.kind === 'command' ? effect.argv : []
}
export const undoOf = (planned: JobsPlan, id: string) => {
  const { undo } = step(planned, id)
  return 'effect' in undo && undo.effect.kind === 'command' ? undo.effect.argv : []
}
