/**
 * Enrollments in real time: a job on a schedule of minutes, run by the lab's own scheduler, from `nightshift run` to the flipped flag, while worker and
 * Temporal server are killed in the middle of the wait of one and of the validation of another. (What a host can do to them: test/unit/enroll/run.test.ts.)
 */
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, type YAMLMap, type YAMLSeq } from 'yaml'
import type { LabHost } from '../../lab/host.js'
import { testLab } from '../support/lab.js'
import { nightshift, type RunningUp, startUp } from '../support/nightshift.js'
import { clientOf, makePlace, onePass, statusOf, type TestPlace } from '../support/place.js'
import { eventually } from '../support/polling.js'

const lab = await testLab('enrollment', { hosts: ['pve'] })
const JOB = 'lab-minutes'
const WORKFLOW = `enroll/pve/${JOB}`
const WAIT = `first-artifacts/pve/${JOB}`
const DUMP = '/tank/backups/vzdump/dump'

let where: TestPlace
let up: RunningUp
let pve: LabHost

beforeAll(async () => {
  pve = lab.host('pve')
  // Archives of 20 MB (the scheduler reads that at its start), so that reading one whole takes a second; the job backs up 209 already.
  await sh(
    `sed -i 's/"209":[0-9.]*/"209":20000000/; s/"21[23]":[0-9.]*/&x/g; s/:[0-9.]*x/:20000000/g' /etc/nightshift-lab/pve.json; rm -f ${DUMP}/vzdump-qemu-21[23]-*; systemctl restart pvescheduler`,
  )
  await sh(`pvesh set /cluster/backup/backup-pve-daily --vmid 200,202,203,204,205,206,207,209,210,211,212,214,215`)
  await sh(
    `pvesh create /cluster/backup --id ${JOB} --schedule '*:0/1' --storage tank-backups --vmid 209 --mode snapshot --compress zstd --prune-backups keep-last=20 --enabled 1`,
  )
  where = await makePlace(lab.paths.config)
  await where.edit('vzdump.yaml', (document) => {
    const jobs = document.getIn(['hosts', 0, 'jobs']) as YAMLSeq
    const daily = jobs.items[0] as YAMLMap
    const { guests } = daily.toJSON() as { guests: number[] }
    daily.set(
      'guests',
      guests.filter((vmid) => vmid !== 213),
    )
    // A run a minute: what is being proven must not be pruned meanwhile.
    const retention = { keep_last: 20 }
    jobs.add(
      document.createNode({ id: JOB, retention, tier: 'P1', guests: [209], schedule: '*:0/1', storage: 'tank-backups', mode: 'snapshot', compress: 'zstd' }),
    )
  })
  await where.edit('inventory.yaml', (document) => target(document, 'vm-213-mint-apps-primary')?.set('enabled', false))
  up = await startUp(where, [], /A pass every/)
}, 120_000)

afterAll(async () => {
  await up?.stop()
  await where?.remove()
})

async function sh(command: string): Promise<string> {
  const { stdout } = await pve.exec(['sh', '-c', command])
  return stdout
}

function target(document: { get(key: string): unknown }, name: string): YAMLMap | undefined {
  return (document.get('targets') as YAMLSeq<YAMLMap>).items.find((each) => each.get('name') === name)
}

async function query<T>(workflowId: string, name: string): Promise<T> {
  const { client, close } = await clientOf(up, lab.name)
  try {
    return await client.workflow.getHandle(workflowId).query<T>(name)
  } finally {
    await close()
  }
}

const details = async (workflowId: string) => (await query<{ currentDetails?: string }>(workflowId, '__temporal_workflow_metadata')).currentDetails ?? ''

/** Neither says goodbye. */
async function killWorkerAndServer(): Promise<void> {
  const server = await execa('pgrep', ['-f', '--', `start-dev .*--port ${up.temporalPort} `], { reject: false })
  await up.kill()
  for (const pid of server.stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

interface Asked {
  readonly state: string
  readonly plans: readonly { readonly title: string; readonly digest: string; readonly steps: readonly { readonly id: string }[] }[]
}

const inputOf = (vmid: number, more = {}) => JSON.stringify({ host: 'pve', guests: [vmid], job: JOB, requestedBy: 'ronny', ...more })

/** Says yes to the plan of this title. */
async function approve(workflowId: string, title: RegExp): Promise<Asked['plans'][number]> {
  const asked = () => query<Asked>(workflowId, 'plan')
  await eventually(`asked: ${title}`, async () => {
    const { state, plans } = await asked()
    return state === 'waiting for approval' && title.test(plans[0]?.title ?? '')
  })
  const [plan] = (await asked()).plans
  const yes = await nightshift(where, ['approve', workflowId, '--digest', plan?.digest ?? '', '--as', 'ronny', '--reason', 'it is in no job'])
  expect(yes.exitCode, yes.stderr).toBe(0)
  return plan ?? expect.fail('no plan')
}

async function signalLook(workflowId: string): Promise<void> {
  const { client, close } = await clientOf(up, lab.name)
  await client.workflow
    .getHandle(workflowId)
    .signal('look')
    .finally(() => close())
}

interface Enrolled {
  readonly proof: {
    readonly validation: { readonly guests: readonly { readonly volid: string }[] }
    readonly guests: readonly { readonly artifact: { readonly volid: string } }[]
  }
}

/** Lets the run look until it has ended: when the archive is there, the host may not have written yet which job made it. */
async function endedByLooking(): Promise<Enrolled> {
  const { client, close } = await clientOf(up, lab.name)
  const handle = client.workflow.getHandle(WORKFLOW)
  const ended = handle.result() as Promise<Enrolled>
  try {
    for (;;) {
      await handle.signal('look').catch(() => {})
      const result = await Promise.race([ended, delay(5_000)])
      if (result !== undefined) return result
    }
  } finally {
    await close()
  }
}

describe('a guest that comes into a job', () => {
  it('is asked for, put into job and vzdump.yaml, awaited through a crash of worker and server, proven, and only then enabled', async () => {
    const inventoryBefore = await where.read('inventory.yaml')
    const started = await nightshift(where, ['run', 'vzdumpEnrollment', inputOf(213), '--detach'])
    expect(started.exitCode, started.stderr).toBe(0)
    expect((await approve(WORKFLOW, /into job/)).steps.map(({ id }) => id)).toEqual([`add guests of ${JOB} in vzdump.yaml`, `set job ${JOB}`])
    await eventually('it waits', async () => /first scheduled artifact/.test(await details(WORKFLOW)))
    expect(JSON.parse(await sh(`pvesh get /cluster/backup/${JOB} --output-format json`))).toMatchObject({ vmid: '209,213' })
    const { hosts } = parse(await where.read('vzdump.yaml')) as { hosts: { jobs: { id: string; guests: number[] }[] }[] }
    expect(hosts[0]?.jobs.find(({ id }) => id === JOB)?.guests).toEqual([209, 213])
    expect(await where.read('inventory.yaml')).toBe(inventoryBefore)
    // The name is taken by this job's open enrollment: nobody is told that 212 was begun.
    const refused = await nightshift(where, ['run', 'vzdumpEnrollment', inputOf(212), '--detach'])
    expect([refused.exitCode, refused.stderr]).toEqual([64, expect.stringContaining('nothing was started: enroll/pve/lab-minutes is open already')])

    await killWorkerAndServer()
    await eventually('the scheduler has made it, with nightshift dead', async () => (await sh(`ls ${DUMP}`)).includes('vzdump-qemu-213-'), 200_000)
    up = await startUp(where, [], /A pass every/, up)
    await eventually('the wait is there again', async () => (await details(WAIT)) !== '')
    const guest = (await statusOf(where)).status.guests.find(({ host, vmid }) => host === 'pve' && vmid === 213)
    expect(guest).toMatchObject({ state: 'LATE', reason: 'awaiting_first_artifact', message: expect.stringContaining(`from job ${JOB}, due by`) })

    await signalLook(WORKFLOW)
    const ended = await nightshift(where, ['run', 'vzdumpEnrollment', inputOf(213), '--json'])
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0)
    expect(ended.stdout).toMatch(/"outcome":"proven"/)
    expect(ended.stdout).toMatch(/"sha256":"[0-9a-f]{64}"/)
    const inventory = await where.read('inventory.yaml')
    const row = /- name: vm-213-mint-apps-primary\n {4}enabled: (\w+)/
    expect(row.exec(inventory)?.[1]).toBe('true')
    expect(inventory).toBe(inventoryBefore.replace(row, (text) => text.replace('false', 'true')))
    const after = await onePass(where)
    expect(after.guests.find(({ host, vmid }) => host === 'pve' && vmid === 213)).toMatchObject({ state: 'OK' })
    expect((await nightshift(where, ['receipts', 'verify', '--json'])).exitCode).toBe(0)
  }, 600_000)

  it('can be validated by one backup by hand, which is asked for, proven, and never taken for the first scheduled artifact', async () => {
    const input = inputOf(212, { validate: 'now' })
    expect((await nightshift(where, ['run', 'vzdumpEnrollment', input, '--detach'])).exitCode).toBe(0)
    await approve(WORKFLOW, /into job/)
    await approve(WORKFLOW, /by one backup by hand/)
    await eventually('its wait has begun', async () => (await details(WAIT)).includes('| 212 |'), 200_000)
    const scheduled = async () => (await sh(`ls ${DUMP} | grep -c 'vzdump-qemu-212-.*zst$' || :`)).trim()
    await eventually('the scheduler has made one, too', async () => Number(await scheduled()) > 1, 200_000)
    const { proof } = await endedByLooking()
    expect(proof.validation).toMatchObject({ state: 'done', guests: [{ vmid: 212, outcome: 'proven', level: 2 }] })
    expect(proof.guests).toMatchObject([{ vmid: 212, outcome: 'proven' }])
    expect(proof.guests[0]?.artifact.volid).not.toBe(proof.validation.guests[0]?.volid)
  }, 480_000)

  it('gives an archive that one command proves again; a damaged one is told from it, and what cannot be known from both', async () => {
    const name = (await sh(`ls ${DUMP} | grep 'vzdump-qemu-213-.*zst$' | tail -n 1`)).trim()
    const volid = `tank-backups:backup/${name}`
    // Nothing else runs meanwhile: retention must not take the archive away.
    await sh(`pvesh set /cluster/backup/${JOB} --enabled 0`)
    const proven = await nightshift(where, ['verify-artifact', 'pve', volid, '--json'])
    expect(proven.exitCode, proven.stdout + proven.stderr).toBe(0)
    expect(JSON.parse(proven.stdout)).toMatchObject({ outcome: 'proven', level: 2 })
    await sh(`printf x | dd of=${DUMP}/${name} bs=1 seek=300 conv=notrunc 2>/dev/null`)
    const damaged = await nightshift(where, ['verify-artifact', 'pve', volid])
    expect([damaged.exitCode, damaged.stdout]).toEqual([2, expect.stringMatching(/^damaged: /)])
    for (const [host, unknown, words] of [
      ['pve', `${volid}x`, 'unknown: '],
      ['pve', 'tank-backups:backup/vzdump-qemu-213-2001_01_01-00_00_00.vma.zst', 'No such file'],
      ['nas', volid, 'nas is no Proxmox host of estate.yaml'],
    ] as const) {
      const { exitCode, stdout } = await nightshift(where, ['verify-artifact', host, unknown])
      expect([exitCode, stdout]).toEqual([3, expect.stringContaining(words)])
    }
    expect((await nightshift(where, ['verify-artifact', 'pve', 'not a volid'])).exitCode).toBe(3)
  }, 400_000)
})
