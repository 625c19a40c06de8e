/**
 * Puts a named state onto a running lab: the content of every host and the lab's copy of the runbooks.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { writeConfig } from '../config.js'
import type { Lab } from '../lab.js'
import { putMailState } from '../mail/state.js'
import { APPS } from './apps.js'
import { editRunbooks } from './config-edits.js'
import { type EstateState, planEstate } from './estate-plan.js'
import type { HostPlan, PlannedDisk } from './file-plan.js'
import { HOME_GUESTS, type LabGuest, SHOP_GUESTS } from './guests.js'
import { writePlan } from './write-files.js'

/** The NAS first: proxmox-home mounts a part of it. */
const FIRST = 'nas'

/**
 * @param now the lab's clock; everything on the hosts is told relative to it
 */
export async function putState(lab: Lab, state: EstateState, now: Date, log: (line: string) => void): Promise<void> {
  const plan = planEstate(state, now.getTime())
  const names = Object.keys(plan.hosts)
    .filter((name) => lab.hosts.has(name))
    .sort((a, b) => Number(b === FIRST) - Number(a === FIRST))
  await Promise.all(names.map((name) => quiesce(lab, name)))
  for (const name of names) {
    const host = plan.hosts[name] as HostPlan
    for (const disk of host.disks) await mount(lab, name, disk)
    writePlan(lab.host(name).root(), host, plan.now)
    if (name === 'pve') tellArchiveSizes(lab, name, SHOP_GUESTS)
    if (name === 'proxmox-home') tellArchiveSizes(lab, name, HOME_GUESTS)
  }
  await putMailState(lab, state)
  await Promise.all(names.map((name) => resume(lab, name)))
  await writeConfig(lab)
  editRunbooks(lab.paths.config, state, now)
  log(`${state}: ${names.length} hosts, ${names.reduce((sum, name) => sum + (plan.hosts[name]?.files.length ?? 0), 0)} files`)
}

/** The emulated vzdump makes its archives as big as the ones of the nights before (the rest of the file is a hole). */
function tellArchiveSizes(lab: Lab, name: string, guests: readonly LabGuest[]): void {
  const path = join(lab.host(name).root(), '/etc/nightshift-lab/pve.json')
  const settings = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as object) : {}
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify({ ...settings, archive_bytes: Object.fromEntries(guests.map((guest) => [guest.vmid, guest.archiveBytes])) })}\n`)
}

/** Mounts the disk or share that belongs to `path` again. */
export async function mountStorage(lab: Lab, name: string, path: string): Promise<void> {
  const disk = planEstate('healthy', Date.now()).hosts[name]?.disks.find((one) => one.path === path)
  if (disk === undefined) throw new Error(`${name} has no disk at ${path} in the lab's estate`)
  await mount(lab, name, disk)
}

async function mount(lab: Lab, name: string, { path, name: disk, sizeBytes, sharedFrom }: PlannedDisk): Promise<void> {
  const host = lab.host(name)
  if ((await host.exec(['mountpoint', '-q', path], { check: false })).exitCode === 0) return
  if (sharedFrom === undefined) await host.mountDisk({ name: disk, path, sizeBytes })
  // A lab of a few hosts only may have no NAS: then the storage is a disk of its own.
  else if (lab.hosts.has(sharedFrom.host)) await host.mountShare({ path, from: lab.host(sharedFrom.host), disk: sharedFrom.disk, subPath: sharedFrom.subPath })
  else await host.mountDisk({ name: disk, path, sizeBytes })
}

/** Nothing on a Proxmox host may start a job while its files are half written. */
async function quiesce(lab: Lab, name: string): Promise<void> {
  const host = lab.host(name)
  if (host.kind === 'proxmox') await host.exec(['systemctl', 'stop', 'pvescheduler'], { check: false })
}

async function resume(lab: Lab, name: string): Promise<void> {
  const host = lab.host(name)
  if (host.kind === 'proxmox') await host.exec(['systemctl', 'start', 'pvescheduler'])
  const timers = APPS.flatMap((app) => (app.producer === name && app.start.kind === 'timer' ? [`${app.start.unit}.timer`] : []))
  if (timers.length === 0) return
  await host.exec(['systemctl', 'daemon-reload'])
  await host.exec(['systemctl', 'enable', '--now', ...timers])
}
