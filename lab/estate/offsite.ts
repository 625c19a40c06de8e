/**
 * Offsite copies: rsync from pve to the NAS at 09:00 with a bandwidth limit, so each copy arrives hours after the archive was made,
 * with the same size and mtime. The last days are kept, and one a month for a year. Pure.
 */
import { NAS_USER } from './apps.js'
import { chance } from './chance.js'
import type { HostPlan, PlannedFile } from './file-plan.js'
import type { JobRun } from './vzdump-runs.js'
import type { Zone } from './zone.js'

/** VM 200 is excluded: 186 GB do not fit through the shop's line. */
export const OFFSITE_VMIDS: ReadonlySet<number> = new Set([204, 205, 206, 207, 209, 210])
export const OFFSITE_FOLDER = '/volume1/backups/proxmox/vzdump/critical'
export const OFFSITE_SCRIPT = '/usr/local/sbin/offsite-sync'
export const OFFSITE_CRON = '/etc/cron.d/offsite-sync'

const BYTES_PER_SECOND = 1500 * 1024
const KEPT_DAYS = 4

export const OFFSITE_CRON_LINE = `0 9 * * * root ${OFFSITE_SCRIPT} --bwlimit=1500 nas:${OFFSITE_FOLDER}\n`

/**
 * The copies that have arrived by `now`.
 * @param runs of pve's daily job, oldest first
 */
export function planOffsiteCopies(runs: readonly JobRun[], now: number, zone: Zone): Partial<HostPlan> {
  const files: PlannedFile[] = []
  const keepFrom = zone.dayBefore(now, KEPT_DAYS)
  const keepFromEpoch = zone.instantOf(keepFrom, 9, 0) ?? now
  for (const run of runs) {
    const day = zone.dayBefore(run.start, 0)
    let clock = zone.instantOf(day, 9, 0)
    if (clock === undefined || run.job === undefined) continue
    for (const made of run.guests) {
      if (!OFFSITE_VMIDS.has(made.guest.vmid) || made.archive === undefined) continue
      clock += made.sizeBytes / (BYTES_PER_SECOND * (0.93 + 0.06 * chance('line', made.archive)))
      if (clock > now) break
      if (clock < keepFromEpoch && day.day !== 1) continue
      files.push({ path: `${OFFSITE_FOLDER}/${made.archive}`, sizeBytes: made.sizeBytes, mtime: made.end, owner: NAS_USER })
    }
  }
  return { files }
}

/** pve's side: the cron line and the program. */
export function planOffsiteSync(): Partial<HostPlan> {
  return {
    files: [
      { path: OFFSITE_CRON, content: OFFSITE_CRON_LINE },
      { path: OFFSITE_SCRIPT, content: OFFSITE_SCRIPT_TEXT, mode: 0o755 },
    ],
  }
}

/** Names explicit, finished files: nothing in progress can enter; remnants stay in `.rsync-partial`, never under a final name. */
const OFFSITE_SCRIPT_TEXT = `#!/bin/sh
# Copies the newest finished archive of each critical VM to the NAS. Usage: offsite-sync [--bwlimit=KBPS] HOST:FOLDER
set -eu
limit=0
case "\${1:-}" in --bwlimit=*) limit=\${1#--bwlimit=}; shift ;; esac
target=$1
failed=0
for vmid in ${[...OFFSITE_VMIDS].join(' ')}; do
  newest=$(ls -1t /tank/backups/vzdump/dump/vzdump-qemu-"$vmid"-*.vma.zst 2>/dev/null | head -n 1)
  [ -n "$newest" ] || continue
  rsync -t --sparse --no-perms --no-owner --no-group --partial-dir=.rsync-partial --timeout=300 --bwlimit="$limit" \\
    --log-file=/var/log/offsite-sync.log -e 'ssh -o BatchMode=yes -o StrictHostKeyChecking=yes' -- "$newest" "$target/" || failed=1
done
exit "$failed"
`
