/**
 * The whole estate at a moment, in one of its two named states: what lies on each of the lab's hosts. Pure: the same moment and
 * state always give the same plan.
 *   healthy   every guest in a job, every dump and copy made; a pass of the monitor finds nothing
 *   as-found  what the operator's audits saw: pve's job names four guests only, home's jobs are switched off, nothing ever went offsite
 */
import { cronLine, planDumps, planProducer } from './app-dumps.js'
import { APPS, type LabApp, NAS_USER } from './apps.js'
import { type HostPlan, mergePlans, type PlannedFile } from './file-plan.js'
import { HOME_GUESTS, SHOP_GUESTS } from './guests.js'
import { AS_FOUND_HOME_JOBS, AS_FOUND_SHOP_JOBS, HEALTHY_HOME_JOBS, HEALTHY_SHOP_JOBS, HOME_BACKUPS, homeStorage, SHOP_STORAGE } from './jobs.js'
import { OFFSITE_FOLDER, planOffsiteCopies, planOffsiteSync } from './offsite.js'
import { type ProxmoxPlan, type ProxmoxSite, planProxmox } from './proxmox-plan.js'
import { Zone } from './zone.js'

export type EstateState = 'healthy' | 'as-found'
export const ESTATE_STATES: readonly EstateState[] = ['healthy', 'as-found']
export const ESTATE_ZONE = 'America/New_York'
/** Proxmox' node name is `pve` on both hosts; only the shop's host has the same name as its node. */
export const NODE = 'pve'

export interface EstatePlan {
  readonly state: EstateState
  /** Seconds since 1970. */
  readonly now: number
  readonly hosts: Readonly<Record<string, HostPlan>>
  readonly shop: ProxmoxPlan
  readonly home: ProxmoxPlan
}

const TERA = 1_000_000_000_000
const NAS_DISK = 'volume1'
const NAS_BYTES = 12 * TERA
/** Below /volume1. */
const NAS_EXPORT = '/backups/proxmox_backups'
const YEAR_DAYS = 365
/** Applications that had no dump at the time of the audit. */
const NOT_YET_DUMPED = new Set(['app-infisical'])

export function sitesOf(state: EstateState): { shop: ProxmoxSite; home: ProxmoxSite } {
  const healthy = state === 'healthy'
  return {
    shop: { node: NODE, guests: SHOP_GUESTS, jobs: healthy ? HEALTHY_SHOP_JOBS : AS_FOUND_SHOP_JOBS, storage: SHOP_STORAGE },
    home: { node: NODE, guests: HOME_GUESTS, jobs: healthy ? HEALTHY_HOME_JOBS : AS_FOUND_HOME_JOBS, storage: homeStorage(healthy ? 3 : 'all') },
  }
}

/** @param nowMs the lab's clock, milliseconds since 1970 */
export function planEstate(state: EstateState, nowMs: number): EstatePlan {
  const zone = new Zone(ESTATE_ZONE)
  const now = Math.floor(nowMs / 1000)
  const sites = sitesOf(state)
  const shop = planProxmox(sites.shop, now, zone)
  const home = planProxmox(sites.home, now, zone)
  const offsite = state === 'healthy'
  const shopDisk = { disks: [{ path: '/tank', sizeBytes: 3 * TERA, name: 'tank' }] }
  const homeDisk = {
    disks: [{ path: HOME_BACKUPS, sizeBytes: NAS_BYTES, name: 'synology-backups', sharedFrom: { host: 'nas', disk: NAS_DISK, subPath: NAS_EXPORT } }],
  }
  const hosts: Record<string, HostPlan> = {
    pve: mergePlans(shopDisk, shop.plan, offsite ? planOffsiteSync() : {}, { emptied: ['/etc/cron.d/offsite-sync'] }),
    'proxmox-home': mergePlans(homeDisk, home.plan),
    nas: mergePlans(nasFolders(), offsite ? planOffsiteCopies(shop.runs, now, zone) : {}),
  }
  const apps = state === 'healthy' ? APPS : APPS.filter((app) => !NOT_YET_DUMPED.has(app.target))
  for (const app of APPS) {
    const dumps = apps.includes(app)
      ? planDumps(app, { now, zone, days: YEAR_DAYS })
      : { emptied: [app.folder], folders: [{ path: app.folder, owner: app.owner }] }
    hosts[app.keeper] = mergePlans(hosts[app.keeper] ?? {}, dumps)
  }
  for (const producer of new Set(APPS.map((app) => app.producer))) {
    const all = APPS.filter((app) => app.producer === producer)
    hosts[producer] = mergePlans(hosts[producer] ?? {}, planStarts(all, apps))
  }
  return { state, now, hosts, shop, home }
}

/** What starts the dumps of one producer: crontabs and timers, with the programs. */
function planStarts(all: readonly LabApp[], dumped: readonly LabApp[]): Partial<HostPlan> {
  const crontabs = new Map<string, string>()
  const files: PlannedFile[] = []
  for (const app of all.filter((one) => dumped.includes(one))) {
    files.push(...(planProducer(app).files ?? []))
    if (app.start.kind === 'timer') files.push(...timerFiles(app, app.start.unit))
    else crontabs.set(app.start.file, (crontabs.get(app.start.file) ?? '') + cronLine(app))
  }
  for (const [path, content] of crontabs) {
    const spool = path.startsWith('/var/spool/cron/')
    files.push({ path, content, ...(spool ? { mode: 0o600, owner: path.split('/').at(-1) ?? 'root' } : {}) })
  }
  const emptied = all.flatMap((app) => (app.start.kind === 'cron' ? [app.start.file] : []))
  return { files, emptied }
}

function timerFiles(app: LabApp, unit: string): PlannedFile[] {
  const time = `${String(app.hour).padStart(2, '0')}:${String(app.minute).padStart(2, '0')}:00`
  return [
    {
      path: `/etc/systemd/system/${unit}.timer`,
      content: `[Unit]\nDescription=Nightly backup of the media configuration\n\n[Timer]\nOnCalendar=*-*-* ${time}\n\n[Install]\nWantedBy=timers.target\n`,
    },
    {
      path: `/etc/systemd/system/${unit}.service`,
      content: `[Unit]\nDescription=Backup of the media configuration\n\n[Service]\nType=oneshot\nExecStart=${[app.script, app.argument].join(' ')}\n`,
    },
  ]
}

/** The tree of the NAS: also folders that hold nothing. */
function nasFolders(): Partial<HostPlan> {
  const empty = [
    '/volume1/backups',
    '/volume1/backups/proxmox',
    '/volume1/backups/proxmox/vzdump',
    OFFSITE_FOLDER,
    '/volume1/backups/proxmox_backups',
    '/volume1/backups/apps',
    '/volume1/backups/devices',
  ]
  const unused = ['mint-postgres', 'home-assistant', 'minio', 'cloudflare'].map((name) => `/volume1/backups/apps/${name}`)
  return {
    disks: [{ path: '/volume1', sizeBytes: NAS_BYTES, name: NAS_DISK }],
    emptied: [OFFSITE_FOLDER],
    folders: [...empty, ...unused, '/volume1/backups/devices/ronny-macbook'].map((path) => ({ path, owner: NAS_USER })),
  }
}
