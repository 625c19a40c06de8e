/**
 * Judges one pass: what was seen on every host against what the runbooks promise. Pure; the same input gives the same document,
 * whatever the order of the observations.
 */
import type { OpenEnrollment } from '../enroll/open.js'
import type { RunbookSet } from '../estate.js'
import type { HostObservation } from '../observation.js'
import type { Instant, StatusDocument } from '../status.js'
import { judgeCalendar } from './calendar.js'
import { judgeChannels } from './channels.js'
import { judgeGuests } from './guests.js'
import { judgeHosts } from './hosts.js'
import { judgeJobs } from './jobs.js'
import type { JudgeMemory } from './memory.js'
import { readMemory } from './memory.js'
import type { Pass } from './pass.js'
import { viewHosts } from './pass.js'
import { viewProxmox } from './proxmox.js'
import { judgeStorages } from './storages.js'
import { judgeTargets } from './targets.js'
import { reportVanished } from './vanished.js'
import { concludePass } from './verdict.js'

export type { JudgeMemory } from './memory.js'
export { emptyMemory, readMemory } from './memory.js'

export interface JudgeInput {
  readonly runbooks: RunbookSet
  readonly observations: readonly HostObservation[]
  /** Memory of the pass before, as JSON; of an unknown shape it counts as none. */
  readonly memory: unknown
  /** Guests whose first scheduled artifact a run waits for. */
  readonly enrollments?: readonly OpenEnrollment[]
  /** When the pass was taken, by the worker's clock. */
  readonly now: Instant
  readonly pass: { readonly passId: string; readonly workflowId: string; readonly runId: string }
}

export function judgePass(input: JudgeInput): { status: StatusDocument; memory: JudgeMemory } {
  const nowSeconds = Date.parse(input.now) / 1000
  const hosts = viewHosts(input.runbooks, input.observations, nowSeconds)
  const memory = readMemory(input.memory)
  const pass: Pass = {
    runbooks: input.runbooks,
    nowSeconds,
    now: input.now,
    hosts,
    memory,
    enrollments: input.enrollments ?? [],
    draft: { targets: {}, guests: {}, jobs: {}, hosts: {} },
    findings: [],
  }
  const proxmox = viewProxmox(pass)
  const hostRows = judgeHosts(pass, proxmox)
  const storages = judgeStorages(pass, proxmox)
  const jobs = judgeJobs(pass, proxmox)
  const targets = judgeTargets(pass, proxmox)
  const guests = judgeGuests(pass, proxmox, targets)
  judgeCalendar(pass, proxmox)
  judgeChannels(pass)
  reportVanished(pass, proxmox)
  return concludePass(pass, input, { targets, guests, jobs, storages, hosts: hostRows })
}
