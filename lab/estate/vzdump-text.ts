/**
 * What vzdump writes about a run: the log beside each archive and the log of the task.
 * Order and wording of the lines: pve-manager PVE/VZDump.pm, qemu-server PVE/VZDump/QemuServer.pm, pve-container PVE/VZDump/LXC.pm.
 */
import { chance, uuidOf } from './chance.js'
import type { LabStorage } from './jobs.js'
import type { GuestRun, JobRun } from './vzdump-runs.js'
import type { Zone } from './zone.js'

interface Line {
  readonly at: number
  readonly text: string
  /** Stands in the task log only. */
  readonly taskOnly?: boolean
}

const GIB = 2 ** 30
const PROGRESS_STEPS = [3, 14, 27, 39, 52, 66, 78, 91, 100]

/** The storage that holds the guests' disks. */
export const DISK_STORAGE = 'local'

/** `<base>.log` beside the archive. */
export function guestLog(run: JobRun, made: GuestRun, storage: LabStorage, pruned: readonly string[], zone: Zone): string {
  const lines = guestLines(run, made, storage, pruned, zone)
  return lines.flatMap((line) => (line.taskOnly ? [] : [`${zone.logStamp(line.at)} ${line.text}\n`])).join('')
}

/** The file below `/var/log/pve/tasks`. `prunedBy` says per guest which archives its run removed. */
export function taskLog(run: JobRun, storage: LabStorage, prunedBy: (made: GuestRun) => readonly string[], zone: Zone): string {
  const lines = [
    `INFO: starting new backup job: vzdump ${run.guests.map((made) => made.guest.vmid).join(' ')} --mode snapshot --quiet 1 --compress zstd --storage ${run.storage} --notes-template '{{guestname}}'${run.job?.keepLast === undefined ? '' : ` --prune-backups 'keep-last=${run.job.keepLast}'`}`,
    ...run.guests.flatMap((made) => guestLines(run, made, storage, prunedBy(made), zone).map((line) => line.text)),
    run.status === 'OK' ? 'INFO: Backup job finished successfully' : 'INFO: Backup job finished with errors',
    'INFO: notified via target `mail-to-root`',
    run.status === 'OK' ? 'TASK OK' : `TASK ERROR: ${run.status}`,
  ]
  return `${lines.join('\n')}\n`
}

function guestLines(run: JobRun, made: GuestRun, storage: LabStorage, pruned: readonly string[], zone: Zone): Line[] {
  const { guest, start, end } = made
  const opening: Line[] = [
    { at: start, text: `INFO: Starting Backup of VM ${guest.vmid} (${guest.type})` },
    { at: start, text: `INFO: Backup started at ${zone.logStamp(start)}`, taskOnly: true },
  ]
  if (made.error !== undefined) {
    return [
      ...opening,
      { at: start, text: `ERROR: Backup of VM ${guest.vmid} failed - ${made.error}` },
      { at: start, text: `INFO: Failed at ${zone.logStamp(start)}`, taskOnly: true },
    ]
  }
  return [
    ...opening,
    ...(guest.type === 'qemu' ? vmLines(made, storage) : containerLines(made, storage)),
    { at: end, text: `INFO: archive file size: ${shownSize(made.sizeBytes)}` },
    { at: end, text: 'INFO: adding notes to backup' },
    ...pruneLines(run, end, storage, pruned),
    { at: end, text: `INFO: Finished Backup of VM ${guest.vmid} (${shownDuration(end - start)})` },
    { at: end, text: `INFO: Backup finished at ${zone.logStamp(end)}`, taskOnly: true },
  ]
}

function vmLines({ guest, start, end, archive, sizeBytes }: GuestRun, storage: LabStorage): Line[] {
  const totalGib = guest.disks.reduce((sum, disk) => sum + disk.sizeGib, 0)
  const seconds = end - start
  const at = (part: number) => Math.floor(start + part * seconds)
  const zeroShare = 0.35 + 0.3 * chance('zero', guest.vmid)
  const rate = (bytes: number) => `${(bytes / Math.max(1, seconds) / 2 ** 20).toFixed(1)} MiB/s`
  return [
    { at: start, text: `INFO: status = ${guest.running ? 'running' : 'stopped'}` },
    { at: start, text: `INFO: VM Name: ${guest.name}` },
    ...guest.disks.map((disk, index) => ({
      at: start,
      text: `INFO: include disk '${disk.key}' '${DISK_STORAGE}:${guest.vmid}/vm-${guest.vmid}-disk-${index}.raw' ${disk.sizeGib}G`,
    })),
    { at: start, text: 'INFO: backup mode: snapshot' },
    { at: start, text: 'INFO: ionice priority: 7' },
    { at: start, text: `INFO: creating vzdump archive '${storage.path}/dump/${archive}'` },
    { at: start, text: "INFO: issuing guest-agent 'fs-freeze' command" },
    { at: start, text: "INFO: issuing guest-agent 'fs-thaw' command" },
    { at: start, text: `INFO: started backup task '${uuidOf('task', guest.vmid, start)}'` },
    { at: start, text: 'INFO: resuming VM again' },
    ...PROGRESS_STEPS.map((percent) => ({
      at: at(percent / 100),
      text: `INFO: ${String(percent).padStart(3)}% (${((totalGib * percent) / 100).toFixed(1)} GiB of ${totalGib.toFixed(1)} GiB) in ${shownStretch((seconds * percent) / 100)}, read: ${rate(totalGib * GIB)}, write: ${rate(sizeBytes * 1.6)}`,
    })),
    { at: end, text: `INFO: backup is sparse: ${(totalGib * zeroShare).toFixed(2)} GiB (${Math.floor(100 * zeroShare)}%) total zero data` },
    { at: end, text: `INFO: transferred ${totalGib.toFixed(2)} GiB in ${seconds} seconds (${rate(totalGib * GIB)})` },
  ]
}

function containerLines({ guest, start, end, archive, sizeBytes }: GuestRun, storage: LabStorage): Line[] {
  const unpacked = Math.round(sizeBytes * 2.7)
  return [
    { at: start, text: `INFO: status = ${guest.running ? 'running' : 'stopped'}` },
    { at: start, text: 'INFO: backup mode: stop' },
    { at: start, text: 'INFO: ionice priority: 7' },
    { at: start, text: `INFO: CT Name: ${guest.name}` },
    { at: start, text: "INFO: including mount point rootfs ('/') in backup" },
    { at: start, text: `INFO: creating vzdump archive '${storage.path}/dump/${archive}'` },
    {
      at: end,
      text: `INFO: Total bytes written: ${unpacked} (${(unpacked / GIB).toFixed(1)}GiB, ${Math.round(unpacked / 2 ** 20 / Math.max(1, end - start))}MiB/s)`,
    },
  ]
}

function pruneLines(run: JobRun, at: number, storage: LabStorage, pruned: readonly string[]): Line[] {
  if (run.keepLast === 'all') return []
  return [
    { at, text: `INFO: prune older backups with retention: keep-last=${run.keepLast}` },
    ...pruned.map((name) => ({ at, text: `INFO: removing backup '${storage.id}:backup/${name}'` })),
    { at, text: pruned.length === 0 ? 'INFO: pruned 0 backup(s)' : `INFO: pruned ${pruned.length} backup(s) not covered by keep-retention policy` },
  ]
}

/** `834MB`, `8.47GB`: as vzdump rounds (1024 steps; whole numbers up to MB). */
export function shownSize(bytes: number): string {
  if (bytes < 2 ** 20) return `${Math.floor(bytes / 2 ** 10)}KB`
  if (bytes < 2 ** 30) return `${Math.floor(bytes / 2 ** 20)}MB`
  return bytes < 2 ** 40 ? `${(bytes / 2 ** 30).toFixed(2)}GB` : `${(bytes / 2 ** 40).toFixed(2)}TB`
}

function shownDuration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  return `${two(seconds / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`
}

/** `1m 9s`, `52s`, `1h 2m 3s`. */
function shownStretch(seconds: number): string {
  const whole = Math.floor(seconds)
  const parts = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'm'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  return parts
    .slice(first === -1 ? 2 : first)
    .map(([value, unit]) => `${value}${unit}`)
    .join(' ')
}
