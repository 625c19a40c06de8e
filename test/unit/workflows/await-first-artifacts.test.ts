/** The wait for first artifacts under skipped time. What the host would say is scripted here; its judge has tests of its own, and the lab plays it whole. */
import { ApplicationFailure } from '@temporalio/common'
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OpenEnrollment } from '../../../src/domain/enroll/open.js'
import type { AwaitInput, GuestOutcome } from '../../../src/domain/enroll/run.js'
import type { EnrollmentLook, EnrollmentQuestion, EnrollmentVerdict, ScheduledArtifact } from '../../../src/domain/enroll/types.js'
import type { Readability } from '../../../src/domain/proof/types.js'
import { bundled } from '../../support/test-temporal.js'
import { serverNow, startTimeSkipping } from '../../support/time-skipping.js'

let env: TestWorkflowEnvironment
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  workflowBundle = await bundled()
  env = await startTimeSkipping()
}, 120_000)

afterAll(async () => {
  await env?.teardown()
})

const DAY = 86_400
const artifact = (vmid: number, day: number): ScheduledArtifact => ({
  volid: `tank:backup/vzdump-qemu-${vmid}-${day}.vma.zst`,
  storage: 'tank',
  path: `/tank/dump/vzdump-qemu-${vmid}-${day}.vma.zst`,
  sizeBytes: 1000,
  modifiedSeconds: 1,
  upid: 'UPID:x',
  runStartSeconds: day,
  dueSeconds: day,
  tie: 'job state file',
})
const verdict = (vmid: number, state: EnrollmentVerdict['state'], made: ScheduledArtifact | null = null): EnrollmentVerdict => ({
  vmid,
  name: `guest${vmid}`,
  type: 'qemu',
  isRunning: true,
  state,
  message: `${state} it is`,
  artifact: made,
  missed: [],
  notCounted: [],
  identity: { smbiosUuid: `uuid-${vmid}`, bornSeconds: 1 },
  expectedBySeconds: 1,
  overdueSinceSeconds: state === 'missed' ? 1 : null,
})
const look = (verdicts: EnrollmentVerdict[], lookAgainInSeconds: number): EnrollmentLook => ({
  nowSeconds: 1,
  runs: { schedule: '02:00', told: [2], passed: [] },
  usualSeconds: null,
  lookAgainInSeconds,
  verdicts,
  words: {},
})

interface Script {
  /** Answers by the number of the look; the last one stays. */
  readonly looks: ((question: EnrollmentQuestion) => EnrollmentLook)[]
  readonly verify?: (volid: string) => Readability
}

async function play(name: string, guests: number[], script: Script) {
  const asked: EnrollmentQuestion[] = []
  const enabled: number[] = []
  const open: OpenEnrollment[][] = []
  const activities = {
    lookAtEnrollment: async ({ question }: { question: EnrollmentQuestion }) => {
      asked.push(question)
      const answer = script.looks[Math.min(asked.length, script.looks.length) - 1]
      if (!answer) throw new Error('no script')
      const whole = answer(question)
      return { ...whole, verdicts: whole.verdicts.filter(({ vmid }) => question.guests.some((guest) => guest.vmid === vmid)) }
    },
    inspectArtifact: async ({ volid }: { volid: string }) => ({ state: 'complete', file: { volid, path: `/x/${volid}`, sizeBytes: 1000, modifiedSeconds: 1 } }),
    verifyArtifactOnHost: async ({ request }: { request: { volid: string } }) =>
      script.verify?.(request.volid) ?? { state: 'readable', sha256: 'ab'.repeat(32), seconds: 5 },
  }
  const stateActivities = {
    recordProof: async () => {},
    noteEnrollments: async (args: { open: OpenEnrollment[] }) => void open.push(args.open),
    recordEnrolled: async ({ vmid }: { vmid: number }) => {
      enabled.push(vmid)
      return [`enabled ${vmid}`]
    },
  }
  const queue = `nightshift-${name}`
  const connection = env.nativeConnection
  const workers = await Promise.all([
    Worker.create({ connection, taskQueue: queue, workflowBundle, activities }),
    Worker.create({ connection, taskQueue: `${name}-state`, activities: stateActivities }),
  ])
  const input: AwaitInput = {
    route: { host: 'pve', site: 'shop', sshAlias: 'pve', sudo: false, node: 'pve' },
    probe: {
      host: 'pve',
      site: 'shop',
      kind: 'proxmox',
      sshAlias: 'pve',
      sudo: false,
      deadlineMs: 1000,
      directories: [],
      producers: [],
      proxmox: { node: 'pve' },
    },
    job: 'daily',
    parentWorkflowId: `enroll/${name}`,
    runs: { schedule: null, told: [], passed: [] },
    guests: guests.map((vmid) => ({ vmid, sinceSeconds: 0, identity: null, rejected: [], outcome: null })),
  }
  const running = Promise.all(workers.map((worker) => worker.run()))
  const before = await serverNow(env)
  try {
    const handle = await env.client.workflow.start('awaitFirstArtifacts', { workflowId: `wait/${name}`, taskQueue: queue, args: [input] })
    const result = (await handle.result()) as GuestOutcome[]
    const first = await env.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId).fetchHistory()
    return { result, asked, enabled, open, events: first.events?.length ?? 0, days: ((await serverNow(env)).getTime() - before.getTime()) / 86_400_000 }
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
}

describe('the wait for first artifacts', () => {
  it('lets each guest finish by itself, and ends when all have', async () => {
    const { result, enabled, asked, days } = await play('each', [211, 212], {
      looks: [
        () => look([verdict(211, 'not_due'), verdict(212, 'not_due')], DAY),
        () => look([verdict(211, 'produced', artifact(211, 1)), verdict(212, 'missed')], DAY),
        () => look([verdict(212, 'missed')], DAY),
        () => look([verdict(212, 'produced', artifact(212, 2))], DAY),
      ],
    })
    expect(result.map(({ vmid, outcome, level }) => [vmid, outcome, level])).toEqual([
      [211, 'proven', 2],
      [212, 'proven', 2],
    ])
    expect(enabled).toEqual([211, 212])
    expect(asked.at(-1)?.guests.map(({ vmid }) => vmid)).toEqual([212])
    expect(days).toBeGreaterThan(1.9)
  })

  it('never enables for a damaged archive, and waits for the next one', async () => {
    const { result, enabled, asked } = await play('damaged', [211], {
      looks: [
        () => look([verdict(211, 'produced', artifact(211, 1))], DAY),
        () => look([verdict(211, 'produced_incomplete')], DAY),
        () => look([verdict(211, 'produced', artifact(211, 2))], DAY),
      ],
      verify: (volid) => (volid.includes('-1.') ? { state: 'damaged', why: 'checksum' } : { state: 'readable', sha256: 'cd'.repeat(32), seconds: 1 }),
    })
    expect(asked[1]?.guests[0]?.rejected).toEqual([{ path: artifact(211, 1).path, why: 'checksum' }])
    expect(result).toMatchObject([{ outcome: 'proven', artifact: { dueSeconds: 2 } }])
    expect(enabled).toEqual([211])
  })

  it('waits for a host that is away, with growing pauses, and tells the monitor nothing about it', async () => {
    let away = 0
    const { result, open } = await play('away', [211], {
      looks: [
        () => look([verdict(211, 'not_due')], 3600),
        ...Array.from({ length: 12 }, () => () => {
          away += 1
          throw ApplicationFailure.nonRetryable('connection refused', 'HostUnread')
        }),
        () => look([verdict(211, 'produced', artifact(211, 1))], 3600),
      ],
    })
    expect(result).toMatchObject([{ outcome: 'proven' }])
    expect(away).toBe(12)
    expect(open.flat().map(({ message }) => message)).not.toContainEqual(expect.stringMatching(/refused/))
  })

  it('ends for a guest that is gone, without enabling anything', async () => {
    const { result, enabled } = await play('gone', [211], { looks: [() => look([verdict(211, 'guest_gone')], 3600)] })
    expect(result).toMatchObject([{ outcome: 'guest_gone', level: 0 }])
    expect(enabled).toEqual([])
  })

  it('keeps its history short over most of a year of missed runs, and forgets nothing on the way', async () => {
    const { result, events, asked, days } = await play('long', [211], {
      looks: [...Array.from({ length: 320 }, () => () => look([verdict(211, 'missed')], DAY)), () => look([verdict(211, 'produced', artifact(211, 1))], DAY)],
    })
    expect(result).toMatchObject([{ outcome: 'proven' }])
    expect(days).toBeGreaterThan(317)
    expect(events).toBeLessThan(2500)
    expect(asked.at(-1)).toMatchObject({ runs: { schedule: '02:00' }, guests: [{ identity: { smbiosUuid: 'uuid-211' } }] })
  }, 120_000)
})
