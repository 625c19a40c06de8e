/** What a lab puts on its hosts must be consistent in itself at whatever moment it is made: nights, clock changes, Sundays. */
import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { APPS } from '../../../lab/estate/apps.js'
import { ESTATE_STATES, ESTATE_ZONE, type EstatePlan, planEstate } from '../../../lab/estate/estate-plan.js'
import type { PlannedFile } from '../../../lab/estate/file-plan.js'
import { HOME_BACKUPS, SHOP_BACKUPS } from '../../../lab/estate/jobs.js'
import { OFFSITE_FOLDER } from '../../../lab/estate/offsite.js'
import { Zone } from '../../../lab/estate/zone.js'

const MOMENTS = {
  'a plain morning': '2026-11-21T13:30:00Z',
  'right after midnight': '2026-11-21T05:00:20Z',
  'one second before the nightly job': '2026-11-21T06:59:59Z',
  'the very second of the nightly job': '2026-11-21T07:00:00Z',
  'in the middle of the nightly job': '2026-11-21T07:41:10Z',
  'a Sunday morning during the weekly job': '2026-11-22T09:00:05Z',
  'the Sunday before the weekly job': '2026-11-22T08:59:30Z',
  'the day whose 02:00 is skipped, early': '2027-03-14T07:10:00Z',
  'the day whose 02:00 is skipped, noon': '2027-03-14T16:00:00Z',
  'the Sunday of 25 hours, just before the weekly job': '2026-11-01T08:59:00Z',
  'a summer evening': '2026-07-04T23:59:59Z',
} as const

const LIMIT_SECONDS = { daily: 26 * 3600, weekly: 168 * 3600, offsite: 48 * 3600, media: 30 * 3600 }

/** Of everything that would be written; comparing the plans themselves value by value takes minutes. */
function digestOf(plan: EstatePlan): string {
  const hash = createHash('sha256')
  for (const [host, { files }] of Object.entries(plan.hosts)) {
    for (const { content, ...file } of files) hash.update(JSON.stringify([host, file])).update(content ?? '')
  }
  return hash.digest('hex')
}

const seconds = (iso: string) => Date.parse(iso) / 1000
const filesIn = (plan: EstatePlan, host: string, folder: string): PlannedFile[] =>
  plan.hosts[host]?.files.filter((file) => file.path.startsWith(`${folder}/`)) ?? []
const newest = (files: readonly PlannedFile[]) => Math.max(...files.map((file) => file.mtime ?? Number.NaN))

describe.each(Object.entries(MOMENTS))('the healthy estate made at %s', (_name, iso) => {
  const plan = planEstate('healthy', Date.parse(iso))
  const now = seconds(iso)

  test('holds nothing from the future', () => {
    for (const [host, { files }] of Object.entries(plan.hosts)) {
      for (const file of files) expect(file.mtime ?? 0, `${host}:${file.path}`).toBeLessThanOrEqual(now)
    }
  })

  test('keeps every guest on pve within 26 h, and the two at home within their limits', () => {
    for (const vmid of [200, 202, 203, 204, 205, 206, 207, 209, 210, 211, 212, 213, 214, 215]) {
      const archives = filesIn(plan, 'pve', `${SHOP_BACKUPS}/dump`).filter((file) => new RegExp(`/vzdump-qemu-${vmid}-.*\\.vma\\.zst$`).test(file.path))
      expect(now - newest(archives), `guest ${vmid}`).toBeLessThanOrEqual(LIMIT_SECONDS.daily)
    }
    const home = filesIn(plan, 'proxmox-home', `${HOME_BACKUPS}/dump`)
    expect(now - newest(home.filter((file) => file.path.includes('qemu-100-')))).toBeLessThanOrEqual(LIMIT_SECONDS.daily)
    expect(now - newest(home.filter((file) => file.path.includes('lxc-105-')))).toBeLessThanOrEqual(LIMIT_SECONDS.weekly)
  })

  test('has kept two archives a guest on pve, three of Home Assistant and two of pihole at home', () => {
    const count = (host: string, folder: string, name: string) =>
      filesIn(plan, host, folder).filter((file) => file.path.includes(name) && file.path.endsWith('.zst')).length
    expect(count('pve', `${SHOP_BACKUPS}/dump`, 'vzdump-qemu-204-')).toBe(2)
    expect(filesIn(plan, 'pve', `${SHOP_BACKUPS}/dump`).filter((file) => file.path.endsWith('.vma.zst'))).toHaveLength(28)
    expect(count('proxmox-home', `${HOME_BACKUPS}/dump`, 'vzdump-qemu-100-')).toBe(3)
    expect(count('proxmox-home', `${HOME_BACKUPS}/dump`, 'vzdump-lxc-105-')).toBe(2)
  })

  test('has a finished log, notes and a line in the task index for every archive', () => {
    const index = String(plan.hosts.pve?.files.find((file) => file.path === '/var/log/pve/tasks/index')?.content)
    for (const made of plan.shop.archives) {
      const base = `${SHOP_BACKUPS}/dump/${made.archive}`
      const log = plan.hosts.pve?.files.find((file) => file.path === base.replace(/\.vma\.zst$/, '.log'))
      expect(String(log?.content)).toMatch(new RegExp(`INFO: Finished Backup of VM ${made.guest.vmid} \\(\\d\\d:\\d\\d:\\d\\d\\)\n$`))
      expect(plan.hosts.pve?.files.some((file) => file.path === `${base}.notes`)).toBe(true)
      const run = plan.shop.runs.find((one) => one.guests.some((guest) => guest.archive === made.archive))
      expect(index).toContain(`${run?.upid} `)
      expect(index).toMatch(new RegExp(`${run?.upid} [0-9A-F]{8} OK\n`))
      const taskFile = plan.hosts.pve?.files.find((file) => file.path.endsWith(`/${run?.upid}`))
      expect(String(taskFile?.content)).toContain(`creating vzdump archive '${base}'`)
      expect(String(taskFile?.content)).toMatch(/\nTASK OK\n$/)
    }
  })

  test('names archives by the local time at which they were begun, and none takes less than no time', () => {
    const zone = new Zone(ESTATE_ZONE)
    for (const made of [...plan.shop.archives, ...plan.home.archives]) {
      expect(made.archive).toContain(`-${zone.archiveStamp(made.start)}.`)
      expect(made.end).toBeGreaterThanOrEqual(made.start)
    }
  })

  test('ties each job to its latest scheduled task in the scheduler state', () => {
    for (const [host, { runs }] of [
      ['pve', plan.shop],
      ['proxmox-home', plan.home],
    ] as const) {
      for (const file of filesIn(plan, host, '/var/lib/pve-manager/jobs')) {
        const state = JSON.parse(String(file.content)) as { state: string; upid: string; updated: number }
        const last = runs.filter((run) => file.path.endsWith(`/vzdump-${run.job?.id}.json`)).at(-1)
        expect(state).toMatchObject({ state: 'stopped', upid: last?.upid })
        expect(state.updated).toBeGreaterThanOrEqual(last?.end ?? Number.NaN)
      }
    }
  })

  test('keeps every application dump within its limit, owned by the user of the host that keeps it', () => {
    for (const app of APPS) {
      const files = filesIn(plan, app.keeper, app.folder).filter((file) => file.path.includes(app.prefix))
      const limit = app.target.includes('media-config') ? LIMIT_SECONDS.media : LIMIT_SECONDS.daily
      expect(now - newest(files), app.target).toBeLessThanOrEqual(limit)
      expect(files.length, app.target).toBeGreaterThan(360)
      expect(new Set(files.map((file) => file.owner))).toEqual(new Set([app.owner]))
    }
  })

  test('has offsite copies younger than 48 h, each with size and mtime of the archive it was made from', () => {
    const copies = filesIn(plan, 'nas', OFFSITE_FOLDER)
    expect(now - newest(copies)).toBeLessThanOrEqual(LIMIT_SECONDS.offsite)
    const made = new Map(plan.shop.runs.flatMap((run) => run.guests).map((guest) => [guest.archive, guest]))
    for (const copy of copies) {
      const original = made.get(copy.path.split('/').at(-1))
      expect([copy.sizeBytes, copy.mtime]).toEqual([original?.sizeBytes, original?.end])
    }
    expect(copies.some((copy) => now - (copy.mtime ?? now) > 300 * 86_400)).toBe(true)
    expect(copies.some((copy) => copy.path.includes('-200-'))).toBe(false)
  })
})

test('a job run on a plain day starts at 02:00 local time and takes under the 180 minutes of its window', () => {
  const { shop } = planEstate('healthy', Date.parse('2026-11-21T13:30:00Z'))
  const last = shop.runs.at(-1)
  expect(new Zone(ESTATE_ZONE).logStamp(last?.start ?? 0)).toMatch(/^2026-11-21 02:00:0[1-4]$/)
  expect((last?.end ?? 0) - (last?.start ?? 0)).toBeGreaterThan(3600)
  expect((last?.end ?? 0) - (last?.start ?? 0)).toBeLessThan(180 * 60)
})

test('dumps are real: gunzip gives back SQL that ends as pg_dump ends', () => {
  const plan = planEstate('healthy', Date.parse('2026-11-21T13:30:00Z'))
  const dump = filesIn(plan, 'nas', '/volume1/backups/apps/infisical').at(-1)
  expect(gunzipSync(dump?.content as Uint8Array).toString()).toMatch(/^--\n-- PostgreSQL database dump\n[\s\S]*-- PostgreSQL database dump complete\n--\n$/)
})

test('the same moment gives the same estate, byte for byte', () => {
  for (const state of ESTATE_STATES) {
    const [one, two] = [0, 0].map(() => digestOf(planEstate(state, Date.parse('2026-11-21T13:30:00Z'))))
    expect(two).toBe(one)
  }
})

describe('the estate as it was found', () => {
  const plan = planEstate('as-found', Date.parse('2026-11-21T13:30:00Z'))
  const text = (host: string, path: string) => String(plan.hosts[host]?.files.find((file) => file.path === path)?.content)

  test('has one job on pve, for four guests, and archives of these only', () => {
    expect(text('pve', '/etc/pve/jobs.cfg')).toContain('\tvmid 200,202,203,204\n')
    expect(new Set(plan.shop.archives.map((made) => made.guest.vmid))).toEqual(new Set([200, 202, 203, 204]))
  })

  test('has three tiered jobs at home, switched off and naming dead guests, beside one on a storage that does not exist', () => {
    const jobs = text('proxmox-home', '/etc/pve/jobs.cfg')
    for (const vmids of ['100,102', '103', '101,105']) expect(jobs).toContain(`\tvmid ${vmids}\n`)
    expect(jobs.match(/enabled 0/g)).toHaveLength(4)
    expect(jobs).toMatch(/vzdump: backup-c1ff91b4-5175\n(\t.*\n)*\tstorage synology-nas-storage\n/)
    expect(text('proxmox-home', '/etc/pve/storage.cfg')).toContain('prune-backups keep-all=1')
    expect(text('proxmox-home', '/etc/pve/storage.cfg')).not.toContain('synology-nas-storage')
    expect(plan.home.archives).toEqual([])
    expect(plan.hosts['proxmox-home']?.files.filter((file) => /\/10[123]\.conf$/.test(file.path))).toEqual([])
  })

  test('has never copied anything offsite and has no program that would', () => {
    expect(filesIn(plan, 'nas', OFFSITE_FOLDER)).toEqual([])
    expect(plan.hosts.nas?.folders.some((folder) => folder.path === OFFSITE_FOLDER)).toBe(true)
    expect(plan.hosts.pve?.files.some((file) => file.path.includes('offsite'))).toBe(false)
  })

  test('has no dump of Infisical, and none of the retired Mint database', () => {
    expect(filesIn(plan, 'nas', '/volume1/backups/apps/infisical')).toEqual([])
    expect(filesIn(plan, 'nas', '/volume1/backups/apps/mint-postgres')).toEqual([])
    expect(plan.hosts['infra-core']?.files.some((file) => file.path === '/etc/cron.d/infisical-backup')).toBe(false)
  })
})
