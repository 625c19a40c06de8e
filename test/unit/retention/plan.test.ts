/** From what a host answered to a plan: whose options hold, whose archives they are, what every step checks. */
import { describe, expect, it } from 'vitest'
import { MOST_STEPS, planDigest } from '../../../src/domain/change/plan.js'
import { readOk } from '../../../src/domain/observation.js'
import { type ProofOnRecord, type RetentionWorld, viewRetention } from '../../../src/domain/retention/groups.js'
import { type PlanOptions, planRetention } from '../../../src/domain/retention/plan.js'
import type { StorageReading } from '../../../src/domain/retention/reader.js'
import type { VzdumpRunbook } from '../../../src/domain/vzdump-runbook.js'
import { changeHost, changeJob, changeProxmox, DAY, DUMP, GB, NOW, runbooks, type World, world } from '../judge/world.js'

const TWO_AM = Date.parse('2026-11-21T07:00:00Z') / 1000

const VZDUMP: VzdumpRunbook = {
  approval: { approvers: ['ronny'], needed: 1, mayApproveOwn: true, timeoutHours: 72, preApproveHarmless: false, signature: 'optional' },
  retention: {
    policy: { approvers: ['ronny'], needed: 1, mayApproveOwn: true, timeoutHours: 72, preApproveHarmless: false, signature: 'optional' },
    provenCopies: { critical: 2, important: 2, rebuildable: 1 },
  },
  hosts: [],
  digest: 'v'.repeat(64),
}

/** Nights ago; archives of 204 begin at 02:00, of 205 at 02:10 New York time (all nights of this test are in standard time). */
interface Night {
  readonly vmid: number
  readonly ago: number
  readonly mark?: string
  readonly protected?: boolean
  readonly log?: 'finished' | 'missing' | 'failed'
  readonly proof?: number
  readonly listedBytes?: number
}

const startOf = ({ vmid, ago }: Pick<Night, 'vmid' | 'ago'>) => TWO_AM - ago * DAY + (vmid === 205 ? 600 : 0)
const stamp = (seconds: number) => new Date((seconds - 5 * 3600) * 1000).toISOString().slice(0, 19).replaceAll('-', '_').replace('T', '-').replaceAll(':', '_')
const nameOf = (night: Pick<Night, 'vmid' | 'ago'>) => `vzdump-qemu-${night.vmid}-${stamp(startOf(night))}`
const volid = (vmid: number, ago: number) => `tank-backups:backup/${nameOf({ vmid, ago })}.vma.zst`

function reading(nights: readonly Night[], options = 'keep-last=2', changes: Partial<StorageReading> = {}): StorageReading {
  return {
    id: 'tank-backups',
    type: 'dir',
    folder: DUMP,
    options,
    content: {
      ok: true,
      value: nights.map((each) => ({
        volid: volid(each.vmid, each.ago),
        vmid: each.vmid,
        size: each.listedBytes ?? 10 * GB,
        ...(each.protected ? { protected: 1 } : {}),
      })),
    },
    asked: [
      {
        options,
        marks: { ok: true, value: nights.map((each) => ({ volid: volid(each.vmid, each.ago), mark: each.mark ?? (each.ago < 2 ? 'keep' : 'remove') })) },
      },
    ],
    files: {
      ok: true,
      value: nights.flatMap((each) => [
        `${10 * GB} ${startOf(each) + 300} ${nameOf(each)}.vma.zst`,
        ...(each.log === 'missing' ? [] : [`900 ${startOf(each) + 310} ${nameOf(each)}.log`]),
      ]),
    },
    logLines: {
      ok: true,
      value: nights.flatMap((each) =>
        each.log === 'missing'
          ? []
          : [
              `${nameOf(each)}.log:2026-11-21 02:05:00 ${each.log === 'failed' ? `ERROR: Backup of VM ${each.vmid} failed - broken pipe` : `INFO: Finished Backup of VM ${each.vmid} (00:05:00)`}`,
            ],
      ),
    },
    ...changes,
  }
}

const proofs = (nights: readonly Night[]): ProofOnRecord[] =>
  nights
    .filter(({ proof }) => proof !== 0)
    .map((each) => ({
      volid: volid(each.vmid, each.ago),
      sizeBytes: 10 * GB,
      modifiedAtSeconds: startOf(each) + 300,
      level: each.proof ?? 2,
      provenAt: '2026-11-20T00:00:00Z',
    }))

function worldOf(w: World, storage: StorageReading, known: readonly ProofOnRecord[], changes: Partial<RetentionWorld> = {}): RetentionWorld {
  const seen = w.hosts.get('pve')
  if (!seen) throw new Error('no pve')
  return {
    runbooks: runbooks(w),
    vzdump: VZDUMP,
    host: 'pve',
    seen,
    reading: { nodeOptions: null, epochSeconds: NOW, storages: [storage] },
    proofs: known,
    memory: undefined,
    nowSeconds: NOW,
    ...changes,
  }
}

const OPTIONS: PlanOptions = { node: 'pve', guests: null, counting: 'proven' }

function plan(
  nights: readonly Night[],
  bend: (w: World) => void = () => {},
  options: Partial<PlanOptions> = {},
  storage: Partial<StorageReading> = {},
  changes: Partial<RetentionWorld> = {},
) {
  const w = world()
  bend(w)
  const it = worldOf(w, reading(nights, 'keep-last=2', storage), proofs(nights), changes)
  return planRetention(it, viewRetention(it), { ...OPTIONS, ...options })
}

const fourOf = (vmid: number, changes: Partial<Night> = {}): Night[] => [0, 1, 2, 3].map((ago) => ({ vmid, ago, ...changes }))
const gone = (outcome: ReturnType<typeof plan>) => outcome.draft.steps.map(({ id }) => id.replace('remove ', '')).sort()
const whyOf = (outcome: ReturnType<typeof plan>, id: string) => outcome.archives.find((each) => each.volid === id)?.why

describe('the plan of a prune', () => {
  it('removes what the host would remove, and checks in each step that it and the proven ones that stay are still the same files', () => {
    const { draft } = plan([...fourOf(204), ...fourOf(205)])
    expect(draft.steps.map(({ id }) => id)).toEqual([volid(204, 3), volid(205, 3), volid(204, 2), volid(205, 2)].map((each) => `remove ${each}`))
    const step = draft.steps[0]
    const file = (ago: number) => ({
      kind: 'artifact',
      path: `${DUMP}/${nameOf({ vmid: 204, ago })}.vma.zst`,
      artifact: { sizeBytes: 10 * GB, modifiedAtSeconds: startOf({ vmid: 204, ago }) + 300, protected: false },
      mountedAt: '/tank',
    })
    expect(step?.effect).toEqual({ kind: 'command', argv: ['pvesh', 'delete', `/nodes/pve/storage/tank-backups/content/${volid(204, 3)}`] })
    expect(step?.before).toEqual([file(3), file(0), file(1)])
    expect(step?.after).toEqual([{ ...file(3), artifact: null }, file(0), file(1)])
    expect(step?.undo).toHaveProperty('none')
    expect(step?.destructive).toEqual(['deletes data'])
    expect(step?.removes).toEqual([{ storage: 'tank-backups', volid: volid(204, 3), vmid: 204, sizeBytes: 10 * GB, createdAt: '2026-11-18T07:00:00Z' }])
  })

  it('says for each guest what is wanted, kept, over, under, what goes and what is left', () => {
    const { compliance } = plan([...fourOf(204), { vmid: 205, ago: 0 }])
    expect(compliance).toMatchObject([
      { vmid: 204, name: 'infra-core', wanted: 2, kept: 4, over: 2, under: 0, proven: 4, provenWanted: 2, goes: 2, freedBytes: 20 * GB, provenLeft: 2 },
      { vmid: 205, wanted: 2, kept: 1, over: 0, under: 1, proven: 1, provenWanted: 2, goes: 0, provenLeft: 1 },
    ])
    expect(compliance[0]).toMatchObject({ newestLeft: '2026-11-21T07:00:00Z', oldestLeft: '2026-11-20T07:00:00Z' })
  })

  it('made again later has the same digest; made of another file under the same name it has another', () => {
    const later = plan(fourOf(204), undefined, {}, {}, { nowSeconds: NOW + 3600 })
    expect(planDigest(later.draft)).toBe(planDigest(plan(fourOf(204)).draft))
    const bytes = reading(fourOf(204)).files
    const swapped = {
      ok: true as const,
      value: bytes.ok ? bytes.value.map((line) => line.replace(`${startOf({ vmid: 204, ago: 1 }) + 300}`, `${startOf({ vmid: 204, ago: 1 }) + 301}`)) : [],
    }
    expect(planDigest(plan(fourOf(204), undefined, {}, { files: swapped }).draft)).not.toBe(planDigest(plan(fourOf(204)).draft))
  })

  it('asks by the options of the job that backs the guest up, and of every such job', () => {
    const asked = (mark: string, options: string) => ({
      options,
      marks: { ok: true as const, value: fourOf(204).map(({ ago }) => ({ volid: volid(204, ago), mark: ago < 2 ? 'keep' : mark })) },
    })
    const own = (w: World) => changeJob(w, 'pve', 'backup-pve-daily', { pruneBackups: { 'keep-last': '3' } })
    expect(gone(plan(fourOf(204), own, {}, { asked: [asked('remove', 'keep-last=2'), asked('keep', 'keep-last=3')] }))).toEqual([])
    expect(gone(plan(fourOf(204), own, {}, { asked: [asked('keep', 'keep-last=2'), asked('remove', 'keep-last=3')] }))).toHaveLength(2)
    expect(whyOf(plan(fourOf(204), own), volid(204, 3))).toBe('host_not_asked')
  })

  it('has no step for a storage that keeps everything', () => {
    expect(gone(plan(fourOf(204), undefined, {}, { options: 'keep-all=1', asked: [] }))).toEqual([])
    expect(gone(plan(fourOf(204), undefined, {}, { options: null, asked: [] }))).toEqual([])
  })

  it('has no step for an archive that is protected, unfinished, without a log, or not the file that is listed', () => {
    const odd = plan([
      { vmid: 204, ago: 0 },
      { vmid: 204, ago: 1 },
      { vmid: 204, ago: 2, protected: true, mark: 'protected' },
      { vmid: 204, ago: 3, log: 'failed' },
      { vmid: 204, ago: 4, listedBytes: 9 * GB },
      { vmid: 204, ago: 5 },
    ])
    expect(gone(odd)).toEqual([volid(204, 5)])
    expect([2, 3, 4].map((ago) => whyOf(odd, volid(204, ago)))).toEqual(['protected', 'unfinished', 'altered'])
  })

  it('has no step for an archive that was proven once and is another file now', () => {
    const nights = fourOf(204)
    const known = proofs(nights).map((each) => (each.volid === volid(204, 3) ? { ...each, sizeBytes: 7 } : each))
    const outcome = plan(nights, undefined, {}, {}, { proofs: known })
    expect(gone(outcome)).toEqual([volid(204, 2)])
    expect(whyOf(outcome, volid(204, 3))).toBe('altered')
  })

  it('has no step while a backup of the guest runs', () => {
    const running = (w: World) =>
      changeProxmox(w, 'pve', (seen) => ({
        ...seen,
        tasks: readOk([
          {
            upid: 'UPID:pve:0000C400:0015C002:6B012800:vzdump:204:root@pam:',
            guest: '204',
            startSeconds: NOW - 60,
            endSeconds: null,
            status: 'RUNNING',
            user: 'root@pam',
          },
        ]),
      }))
    const outcome = plan([...fourOf(204), ...fourOf(205)], running)
    expect(gone(outcome)).toEqual([volid(205, 2), volid(205, 3)].sort())
    expect(whyOf(outcome, volid(204, 3))).toBe('running')
  })

  it('has no step when too few are proven, and says which have to be read first', () => {
    const nights = fourOf(204, { proof: 1 })
    const outcome = plan(nights)
    expect(gone(outcome)).toEqual([])
    expect(outcome.toProve.map((each) => each.volid)).toEqual([volid(204, 0), volid(204, 1)])
    expect(outcome.draft.warnings.map(({ code }) => code)).toContain('too_few_proven')
    const preview = plan(nights, undefined, { counting: 'if-proven' })
    expect(gone(preview)).toHaveLength(2)
    expect(preview.compliance[0]).toMatchObject({ proven: 0, goes: 2, provenLeft: 2 })
  })

  it('takes no damaged copy for a proven one', () => {
    const nights = fourOf(204)
    const known = proofs(nights).map((each) => (each.volid === volid(204, 0) ? { ...each, level: 0 } : each))
    const outcome = plan(nights, undefined, {}, {}, { proofs: known })
    expect(gone(outcome)).toEqual([volid(204, 3)])
    expect(outcome.draft.warnings.map(({ code }) => code)).toContain('damaged')
  })

  it('keeps the archives of an earlier guest apart, and says so when one of them goes', () => {
    const reborn = (w: World) =>
      changeProxmox(w, 'pve', (seen) => ({
        ...seen,
        configs: seen.configs.ok
          ? readOk(seen.configs.value.map((config) => (config.vmid === 204 ? { ...config, createdSeconds: TWO_AM - 1.5 * DAY } : config)))
          : seen.configs,
      }))
    const outcome = plan([...fourOf(204), { vmid: 204, ago: 4 }], reborn)
    expect(outcome.compliance.map(({ guest, kept }) => [guest, kept])).toEqual([
      ['earlier', 3],
      ['present', 2],
    ])
    expect(gone(outcome)).toEqual([volid(204, 4)])
    expect(outcome.draft.steps[0]?.what).toContain('EARLIER guest with the number 204')
    expect(outcome.draft.warnings.map(({ code }) => code)).toContain('earlier_guest')
  })

  it('holds back the archives of a guest that is gone until the day that was decided', () => {
    const nights = fourOf(299)
    const until = (keepUntil: string): Partial<RetentionWorld> => ({
      vzdump: {
        ...VZDUMP,
        hosts: [{ host: 'pve', notOwned: [], otherJobs: 'report', storages: [], jobs: [], leftovers: [{ guest: 299, keepUntil, reason: 'books of 2026' }] }],
      },
    })
    expect(whyOf(plan(nights), volid(299, 3))).toBe('held_back')
    expect(gone(plan(nights, undefined, {}, {}, until('2026-11-21')))).toEqual([])
    expect(gone(plan(nights, undefined, {}, {}, until('2026-11-20')))).toHaveLength(2)
  })

  it('has no step on a storage that is not mounted, not active, or could not be listed, and says so', () => {
    const unmounted = (w: World) => {
      changeProxmox(w, 'pve', (seen) => ({
        ...seen,
        storageConfigs: seen.storageConfigs.ok ? readOk(seen.storageConfigs.value.map((each) => ({ ...each, isMountpoint: '/tank' }))) : seen.storageConfigs,
      }))
      changeHost(w, 'pve', (seen) => ({ ...seen, mounts: readOk([{ device: 'rpool', path: '/', type: 'zfs' }]) }))
    }
    const inactive = (w: World) =>
      changeProxmox(w, 'pve', (seen) => ({
        ...seen,
        storages: seen.storages.ok ? readOk(seen.storages.value.map((each) => ({ ...each, active: false }))) : seen.storages,
      }))
    for (const outcome of [
      plan(fourOf(204), unmounted),
      plan(fourOf(204), inactive),
      plan(fourOf(204), undefined, {}, { files: { ok: false, why: 'no answer within 40 s' } }),
      plan(fourOf(204), undefined, {}, { content: { ok: false, why: 'storage is not online' } }),
      plan(fourOf(204), undefined, {}, { folder: null, type: 'pbs' }),
    ]) {
      expect(outcome.draft.steps).toEqual([])
      expect(outcome.draft.warnings.map(({ code }) => code)).toContain('storage_not_read')
    }
  })

  it('names the mount point in every check of a storage that has to be mounted', () => {
    const { draft } = plan(fourOf(204))
    expect(draft.steps).toHaveLength(2)
    for (const check of draft.steps.flatMap(({ before, after }) => [...before, ...after])) expect(check).toMatchObject({ kind: 'artifact', mountedAt: '/tank' })
  })

  it('expects a protected copy that stays to be still protected', () => {
    const { draft } = plan(fourOf(204).map((each) => (each.ago === 0 ? { ...each, protected: true, mark: 'protected' } : each)))
    expect(draft.steps[0]?.before.map((check) => (check.kind === 'artifact' ? check.artifact?.protected : null))).toEqual([false, true, false])
  })

  it('takes up the oldest first when more goes than a plan holds', () => {
    const many = Array.from({ length: MOST_STEPS + 12 }, (_, ago): Night => ({ vmid: 204, ago }))
    const outcome = plan(many)
    expect(outcome.draft.steps).toHaveLength(MOST_STEPS)
    expect(outcome.draft.steps[0]?.id).toBe(`remove ${volid(204, MOST_STEPS + 11)}`)
    expect(outcome.draft.warnings.map(({ code }) => code)).toContain('more_than_fits')
    expect(whyOf(outcome, volid(204, 2))).toBe('next_run')
  })

  it('is for the guests that were asked for, and no other', () => {
    expect(gone(plan([...fourOf(204), ...fourOf(205)], undefined, { guests: [205] }))).toEqual([volid(205, 2), volid(205, 3)].sort())
  })

  it('warns of what the job itself would leave after two bad nights (I17)', () => {
    const { draft } = plan([...fourOf(204), ...fourOf(205)])
    expect(draft.warnings.find(({ code }) => code === 'two_bad_nights')?.message).toContain('two bad nights would leave no good archive of guests 204, 205')
  })

  it('is refused when the host cannot be believed', () => {
    const w = world()
    changeHost(w, 'pve', (seen) => ({ ...seen, hostname: readOk('pve1') }))
    const it = worldOf(w, reading(fourOf(204)), [])
    expect(() => viewRetention(it)).toThrow(/not believed/)
  })
})
