/** Enrollments from their question to their end, on a host in a folder, under skipped time. */
import type { TestWorkflowEnvironment } from '@temporalio/testing'
import type { WorkflowBundle } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { EnrollmentBench, JOB, STORAGE } from '../../support/enrollment-bench.js'
import { startSkippingWorkflows } from '../../support/time-skipping.js'

let env: TestWorkflowEnvironment
let bundle: WorkflowBundle
let bench: EnrollmentBench

beforeAll(async () => {
  ;({ env, bundle } = await startSkippingWorkflows())
}, 120_000)
afterAll(async () => {
  await env?.teardown()
})
beforeEach(async () => {
  bench = await EnrollmentBench.create(env, bundle)
})
afterEach(async () => {
  await bench.remove()
})

describe('an enrollment', { timeout: 240_000 }, () => {
  it('is validated by a backup by hand whose plan shows what it prunes; neither that one nor others by hand count, the night does', async () => {
    for (let copies = 0; copies < 2; copies += 1) {
      await bench.sh('vzdump', '211', '--storage', STORAGE, '--mode', 'snapshot', '--compress', 'zstd')
      await bench.pass(0.05)
    }
    const handle = await bench.start({ guests: [211], validate: 'now' })
    await bench.answer(handle, /into job/)
    const asked = await bench.answer(handle, /by one backup by hand/)
    expect(asked.plans[0]?.steps).toMatchObject([{ destructive: ['deletes data'], removes: [{ vmid: 211 }] }])
    await bench.shows(handle, /not_due/)
    expect(await bench.isEnabled(211)).toBe(false)

    const { result, guests } = await bench.outcomes(handle)
    expect(result).toMatchObject({ state: 'done', receipt: { number: 1 } })
    const { validation } = result.proof as unknown as { validation: { guests: { vmid: number; outcome: string; level: number; volid: string }[] } }
    expect(validation).toMatchObject({ state: 'done' })
    expect(validation.guests).toMatchObject([{ vmid: 211, outcome: 'proven', level: 2 }])
    expect(guests).toMatchObject([{ vmid: 211, outcome: 'proven', level: 2, artifact: { tie: 'job state file' } }])
    expect(guests[0]?.artifact?.path).toContain('-02_00_00.vma.zst')
    const byHand = validation.guests[0]?.volid.split('/')[1]
    expect(guests[0]?.notCounted).toContainEqual({ name: byHand, why: expect.stringContaining('by hand') })
    expect(await bench.isEnabled(211)).toBe(true)
    expect(await bench.eventGuests()).toEqual([200, 211])
  })

  it('lets each guest finish by itself: one in the first night, one after a failed night and one with half an archive', async () => {
    await bench.host.setFaults({ 212: 'fail' })
    const handle = await bench.enrolled([211, 212])
    await bench.pass(bench.hoursTo(2) + 4)
    expect(await bench.look(handle, /211 \| \*\*proven/)).toMatch(/212 \| failed.*Input\/output error/)
    expect([await bench.isEnabled(211), await bench.isEnabled(212)]).toEqual([true, false])
    expect(bench.state.enrollments.list()).toMatchObject([{ vmid: 212, overdueSinceSeconds: expect.any(Number) }])
    await bench.host.setFaults({ 212: 'short' })
    await bench.pass(24)
    await bench.look(handle, /212 \| produced_incomplete.*damaged/)
    expect(await bench.isEnabled(212)).toBe(false)
    await bench.host.setFaults({})
    const { guests } = await bench.outcomes(handle)
    expect(guests.map(({ vmid, outcome }) => [vmid, outcome])).toEqual([
      [211, 'proven'],
      [212, 'proven'],
    ])
    expect(await bench.isEnabled(212)).toBe(true)
    expect(bench.state.enrollments.list()).toEqual([])
  })

  it('waits for a host that is off, names the run that was missed, and takes the next one', async () => {
    const handle = await bench.enrolled([211])
    bench.isOff = true
    await bench.look(handle, /211 \| unreachable.*connection refused/)
    await bench.off(bench.hoursTo(2) + 3)
    await bench.look(handle, /missed.*the host or its scheduler was off/)
    expect(bench.state.enrollments.list()).toMatchObject([{ vmid: 211, message: expect.stringContaining('was missed') }])
    const { result, guests } = await bench.outcomes(handle)
    expect(guests).toMatchObject([{ outcome: 'proven', missed: [{ why: expect.stringContaining('Proxmox does not catch up') }] }])
    expect(result.message).toContain('was missed')
  })

  it('says that the job is gone and goes on when it is there again; a guest that is gone ends as failed, without a flag', async () => {
    const handle = await bench.enrolled([211, 212])
    await bench.sh('pvesh', 'delete', `/cluster/backup/${JOB}`)
    await bench.look(handle, /211 \| job_gone.*does not exist any more/)
    const options = ['--schedule', '02:00', '--storage', STORAGE, '--vmid', '200,211,212', '--mode', 'snapshot', '--compress', 'zstd']
    await bench.sh('pvesh', 'create', '/cluster/backup', '--id', JOB, ...options)
    await bench.host.removeGuest(212)
    await bench.look(handle, /211 \| not_due[\s\S]*212 \| \*\*guest_gone/)
    const { result, guests } = await bench.outcomes(handle)
    expect(result.state).toBe('failed')
    expect(guests.map(({ vmid, outcome }) => [vmid, outcome])).toEqual([
      [211, 'proven'],
      [212, 'guest_gone'],
    ])
    expect([await bench.isEnabled(211), await bench.isEnabled(212)]).toEqual([true, false])
  })

  it('takes guests out of the job again only after a yes of its own, and never flips the inventory', async () => {
    const handle = await bench.enrolled([211])
    await handle.signal('roll_out', { guests: [211] })
    await bench.answer(handle, /out of job/, 'reject')
    await bench.look(handle, /not_due/)
    expect(await bench.jobGuests()).toBe('200,211')
    await handle.signal('roll_out', { guests: [211] })
    const asked = await bench.answer(handle, /out of job/)
    expect(asked.plans[0]?.steps).toMatchObject([{ destructive: ['lessens protection'] }, {}])
    const { result, guests } = await bench.outcomes(handle)
    expect(result).toMatchObject({ state: 'failed', message: expect.stringContaining('taken out of job backup-pve-daily by approval') })
    expect(guests).toMatchObject([{ vmid: 211, outcome: 'rolled_out', level: 0 }])
    expect(await bench.jobGuests()).toBe('200')
    expect(await bench.listedGuests()).toEqual([200])
    expect(await bench.isEnabled(211)).toBe(false)
    expect(bench.state.enrollments.list()).toEqual([])
  })

  it('waits for a day, for a guest that is not deployed yet and for it to run; a guest without a target gets one', async () => {
    const handle = await bench.start({ guests: [299], when: { notBefore: bench.tomorrow(), guestExists: true, guestRuns: true } })
    await bench.shows(handle, /Not before/)
    await bench.pass(bench.hoursToMorrow())
    await bench.shows(handle, /Waiting for guest 299 of pve to run/)
    await bench.host.addGuest({ vmid: 299, type: 'qemu', name: 'new-shop' })
    await handle.signal('look')
    await bench.pass(0.3)
    await bench.shows(handle, /Waiting for guest 299/)
    await bench.host.addGuest({ vmid: 299, type: 'qemu', name: 'new-shop', running: true })
    await handle.signal('look')
    await bench.answer(handle, /Guest 299 into job/)
    const { guests } = await bench.outcomes(handle)
    expect(guests).toMatchObject([{ vmid: 299, outcome: 'proven', written: expect.arrayContaining(['inventory.yaml: vm-299-new-shop-primary is enabled']) }])
    expect(await bench.isEnabled(299)).toBe(true)
    expect(await bench.read('estate.yaml')).toContain('vm-299-new-shop-primary')
  })
})
