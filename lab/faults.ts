/**
 * Hurting hosts on purpose, and mending them. Each fault has its undo, both can be repeated, and neither asks the program what it did before:
 * what is wrong stands in the kernel or on the host's disk.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { run } from './command.js'
import { LabError } from './errors.js'
import type { LabHost } from './host.js'
import { ensureKeyPair, HOST_KEY_TYPES, hostKeyPath } from './keys.js'
import { bridgeName, linkName } from './names.js'
import { hostMac } from './network.js'
import { authorizedKeysPath } from './trust.js'

function linkOf(host: LabHost): string {
  return linkName(host.place.labName, host.place.index)
}

/** The cable is out: no answer to ARP, "no route to host" or a time-out after some seconds. */
export async function cutLink(host: LabHost): Promise<void> {
  await run(['ip', 'link', 'set', linkOf(host), 'down'])
}

/**
 * Packets vanish without a word, those of open connections too: the bridge port is disabled (state 0) while the machine still believes to know the
 * host's hardware address (a permanent neighbour entry), so nothing on this side notices.
 */
export async function blackhole(host: LabHost): Promise<void> {
  const { labName, index, address } = host.place
  await run(['ip', 'neigh', 'replace', address, 'lladdr', hostMac(labName, index), 'dev', bridgeName(labName), 'nud', 'permanent'])
  await run(['bridge', 'link', 'set', 'dev', linkOf(host), 'state', '0'])
}

/** A thin line in both directions (token bucket; `netem` is not in every kernel). */
export async function slowLink(host: LabHost, kbitPerSecond: number): Promise<void> {
  const shape = ['root', 'tbf', 'rate', `${kbitPerSecond}kbit`, 'burst', '4kb', 'latency', '2s']
  await run(['tc', 'qdisc', 'replace', 'dev', linkOf(host), ...shape])
  await run(['nsenter', '--target', String(host.pid), '--net', 'tc', 'qdisc', 'replace', 'dev', 'eth0', ...shape])
}

/** Undoes cutLink, blackhole and slowLink. */
export async function restoreLink(host: LabHost): Promise<void> {
  const { labName, address } = host.place
  await run(['ip', 'link', 'set', linkOf(host), 'up'])
  // The kernel tells a link's carrier a moment later, and until then refuses the state of its port (ENETDOWN).
  const deadline = Date.now() + 5000
  while (readFileSync(`/sys/class/net/${linkOf(host)}/operstate`, 'utf8').trim() !== 'up' && Date.now() < deadline) await delay(5)
  await run(['bridge', 'link', 'set', 'dev', linkOf(host), 'state', '3'])
  await run(['ip', 'neigh', 'del', address, 'dev', bridgeName(labName)], { check: false })
  await run(['tc', 'qdisc', 'del', 'dev', linkOf(host), 'root'], { check: false })
  if (host.isRunning()) await run(['nsenter', '--target', String(host.pid), '--net', 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'], { check: false })
}

/** Every process of the host stands still; the kernel still accepts connections, nobody answers. */
export async function freeze(host: LabHost): Promise<void> {
  await setFrozen(host, true)
}

export async function thaw(host: LabHost): Promise<void> {
  await setFrozen(host, false)
}

async function setFrozen(host: LabHost, frozen: boolean): Promise<void> {
  const { stdout } = await run(['sh', '-c', 'echo "$2" > "$1/cgroup.freeze" && cat "$1/cgroup.events"', 'sh', host.cgroup, frozen ? '1' : '0'])
  const wanted = `frozen ${frozen ? 1 : 0}`
  let events = stdout
  const deadline = Date.now() + 5000
  while (!events.includes(wanted)) {
    if (Date.now() > deadline) throw new LabError('failed', `the lab host ${host.name} did not reach "${wanted}" within 5 s`)
    await delay(5)
    events = (await run(['cat', join(host.cgroup, 'cgroup.events')])).stdout
  }
}

/** Stops a systemd unit of the host (`ssh`, `cron`, `pvescheduler`), with everything that it started. */
export async function killDaemon(host: LabHost, unit: string): Promise<void> {
  await host.exec(['systemctl', 'kill', '--signal=SIGKILL', unit], { check: false })
  await host.exec(['systemctl', 'stop', unit])
}

export async function startDaemon(host: LabHost, unit: string): Promise<void> {
  // systemd refuses a unit that was started often in a short time; a lab may do that.
  await host.exec(['systemctl', 'reset-failed', unit], { check: false })
  await host.exec(['systemctl', 'start', unit])
  if (unit === 'ssh' || unit === 'ssh.service') await host.waitForSsh()
}

const KEPT_KEYS = '/etc/nightshift-lab/host-keys'

/** The host shows other keys than the ones that are known, as after a reinstallation or somebody in between. */
export async function swapHostKey(host: LabHost): Promise<void> {
  if (existsSync(join(host.root(), KEPT_KEYS))) return
  await host.exec(['sh', '-c', `mkdir -p ${KEPT_KEYS}.making && mv /etc/ssh/ssh_host_* ${KEPT_KEYS}.making/ && mv ${KEPT_KEYS}.making ${KEPT_KEYS}`])
  for (const type of HOST_KEY_TYPES) await ensureKeyPair(join(host.root(), hostKeyPath(type)), type, `root@${host.name} (swapped)`)
  await restartSsh(host)
}

export async function restoreHostKey(host: LabHost): Promise<void> {
  if (!existsSync(join(host.root(), KEPT_KEYS))) return
  await host.exec(['sh', '-c', `rm -f /etc/ssh/ssh_host_* && cp -p ${KEPT_KEYS}/* /etc/ssh/ && rm -r ${KEPT_KEYS}`])
  await restartSsh(host)
}

/** sshd and all its sessions: an open connection would go on with the old state. */
async function restartSsh(host: LabHost): Promise<void> {
  await killDaemon(host, 'ssh')
  await startDaemon(host, 'ssh')
}

/** The host no longer knows our key. Connections that are open stay open, as on a real host; a restart of sshd ends them. */
export async function refuseLogin(host: LabHost): Promise<void> {
  const path = authorizedKeysPath(host)
  await host.exec(['sh', '-c', 'if [ -e "$1" ]; then mv "$1" "$1.kept"; fi', 'refuse', path])
  await restartSsh(host)
}

export async function allowLogin(host: LabHost): Promise<void> {
  const path = authorizedKeysPath(host)
  await host.exec(['sh', '-c', 'if [ -e "$1.kept" ]; then mv "$1.kept" "$1"; fi', 'allow', path])
}

/** Answers of `pvesh` and its siblings take this long, as on a real host (0.55 s). @param milliseconds per process */
export function setLatency(host: LabHost, milliseconds: number): void {
  if (host.kind !== 'proxmox') return
  const path = join(host.root(), 'etc/nightshift-lab/pve.json')
  const settings = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, `${JSON.stringify({ ...settings, latency_ms: milliseconds, now: null })}\n`)
}

export { resetClock, setClock } from './clock.js'
