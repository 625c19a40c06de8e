/**
 * A host's clock. Linux has no namespace for the time of day, so libfaketime is preloaded into every program of the host; running services are
 * restarted, because they have been started without it. Times of files and time-outs are left alone (see tree-finish.ts).
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LabError } from './errors.js'
import type { LabHost } from './host.js'

/**
 * Services whose clock matters, and sshd: libfaketime unlinks its shared memory at the end of the process that made it. When that is sshd's sandboxed half, the
 * kernel kills it (SIGSYS) and the connection with it; once the listener itself was started with libfaketime, the memory is the listener's. Open sessions stay.
 */
const CLOCKED = ['ssh.service', 'cron.service', 'pvescheduler.service']

/** @param offsetSeconds how far the host's clock is ahead of the true time; negative: behind */
export async function setClock(host: LabHost, offsetSeconds: number): Promise<void> {
  const root = host.root()
  // libfaketime reads this file again every second (FAKETIME_CACHE_DURATION).
  writeFileSync(join(root, 'etc/faketimerc'), `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`)
  writeFileSync(join(root, 'etc/ld.so.preload'), `${libraryPath(root)}\n`)
  await restartServices(host)
}

export async function resetClock(host: LabHost): Promise<void> {
  const root = host.root()
  if (!existsSync(join(root, 'etc/ld.so.preload'))) return
  rmSync(join(root, 'etc/ld.so.preload'), { force: true })
  rmSync(join(root, 'etc/faketimerc'), { force: true })
  await restartServices(host)
}

async function restartServices(host: LabHost): Promise<void> {
  await host.exec(['systemctl', 'try-restart', ...CLOCKED], { check: false })
  if ((await host.exec(['systemctl', 'is-active', 'ssh.service'], { check: false })).exitCode === 0) await host.waitForSsh()
}

/** The multi-threaded variant is safe for both kinds of programs. */
function libraryPath(root: string): string {
  for (const folder of readdirSync(join(root, 'usr/lib'))) {
    const path = `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`
    if (existsSync(join(root, path))) return path
  }
  throw new LabError('failed', 'libfaketime is not in the lab root tree', 'remove the tree (~/.cache/nightshift/lab-tree) and make the lab anew')
}

/**
 * `+1h`, `-90s`, `+2d` (relative to the true time) or a moment with its zone, `2026-02-12T03:30:00-05:00` (the clock runs on from there).
 * @returns seconds ahead of the true time
 * @throws LabError `usage`
 */
export function parseClock(text: string, now: Date): number {
  const relative = /^([+-])(\d{1,9})([smhd]?)$/.exec(text)
  if (relative !== null) {
    const [, sign, amount, unit] = relative
    return (sign === '-' ? -1 : 1) * Number(amount) * { s: 1, m: 60, h: 3600, d: 86_400 }[(unit || 's') as 's' | 'm' | 'h' | 'd']
  }
  const moment = /(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(moment)) throw new LabError('usage', `"${text}" is no setting of a clock`, 'examples: +1h, -90s, 2026-02-12T03:30:00-05:00, reset')
  return Math.round((moment - now.getTime()) / 1000)
}
