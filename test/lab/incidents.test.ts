/**
 * Everything that really went wrong once, staged on real hosts and read by the real program: the right state, reason and cause,
 * and nothing else turned wrong. The same cases as `npm run lab -- incidents`, and the faults of hosts and files beside them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CASES, isIncident } from '../../lab/estate/cases/index.js'
import { compareWithExpected } from '../../lab/estate/compare.js'
import { onlyPassesOnDemand, stage, wrongIn } from '../../lab/estate/incidents.js'
import { applyState } from '../../lab/estate/index.js'
import { Product } from '../../lab/estate/product.js'
import type { StatusDocument } from '../../src/domain/status.js'
import { testLab } from '../support/lab.js'

const lab = await testLab('incidents')
let product: Product
let healthy: StatusDocument

beforeAll(async () => {
  onlyPassesOnDemand(lab)
  product = await Product.start(lab)
  healthy = await product.pass()
})

afterAll(async () => {
  await product?.stop()
})

test('the healthy estate has no false word: every target, guest, job, storage and host is fine or waived', () => {
  expect(wrongIn(healthy)).toEqual([])
  expect(healthy.expected).toBe(28)
  expect(healthy.seen).toBe(28)
  expect(healthy.guests).toHaveLength(16)
})

describe.each([
  ['an incident of the operator', CASES.filter(isIncident)],
  ['a fault', CASES.filter((one) => !isIncident(one))],
] as const)('%s', (_kind, chosen) => {
  test.each(chosen.map((one) => [one.name, one.title, one] as const))('%s: %s', async (_name, _title, one) => {
    const { problems } = await stage(lab, product, one, healthy)
    expect(problems).toEqual([])
  })
})

test('after all of them the estate is as healthy as before', async () => {
  expect(compareWithExpected({ expect: [], verdict: healthy.verdict }, healthy, await product.pass())).toEqual([])
})

test('the estate as it was found is told as the audits found it, and healthy again afterwards', async () => {
  await applyState(lab, 'as-found')
  onlyPassesOnDemand(lab)
  const found = await product.pass()
  const guest = (host: string, vmid: number) => found.guests.find((one) => one.host === host && one.vmid === vmid)
  for (const vmid of [205, 206, 207, 209, 210, 211, 212, 213, 214, 215])
    expect(guest('pve', vmid)).toMatchObject({ state: 'MISSING', reason: 'not_in_any_job' })
  for (const vmid of [200, 202, 203, 204]) expect(guest('pve', vmid)).toMatchObject({ state: 'OK', severity: 'ok' })
  expect(guest('proxmox-home', 100)).toMatchObject({ state: 'MISSING', reason: 'not_in_any_job', severity: 'critical' })
  expect(found.jobs.filter((job) => job.host === 'proxmox-home').map((job) => [job.id, job.state])).toEqual([
    ['backup-c1ff91b4-5175', 'DISABLED'],
    ['backup-home-p0-daily', 'DISABLED'],
    ['backup-home-p1-daily', 'DISABLED'],
    ['backup-home-p2-weekly', 'DISABLED'],
  ])
  expect(found.jobs.find((job) => job.id === 'backup-c1ff91b4-5175')?.message).toContain('synology-nas-storage')
  expect(found.targets.find((target) => target.id === 'vm-offsite-critical')).toMatchObject({ state: 'MISSING', reason: 'never_synced' })
  for (const vmid of [101, 102, 103])
    expect(found.findings.some((finding) => finding.subject.endsWith(`/${vmid}`) && finding.reason === 'vanished_guest')).toBe(true)
  expect(found.verdict).toBe('critical')
  await applyState(lab, 'healthy')
  onlyPassesOnDemand(lab)
  expect(wrongIn(await product.pass())).toEqual([])
})
