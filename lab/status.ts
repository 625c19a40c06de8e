/** `lab status`: what of a lab is there and what runs, read from the kernel at this moment. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pidsIn } from './cgroup.js'
import { labEnvironment } from './env.js'
import type { Lab } from './lab.js'
import { bridgeName } from './names.js'

export interface LabStatus {
  readonly schema: 'nightshift.lab/1'
  readonly name: string
  readonly home: string
  readonly bridge: string
  readonly subnet: string
  readonly state: 'healthy' | 'as-found' | null
  readonly hurt: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly hosts: readonly { name: string; hostname: string; address: string; user: string; running: boolean; processes: number; memoryBytes: number }[]
}

export function labStatus(lab: Lab): LabStatus {
  const { record, paths } = lab
  return {
    schema: 'nightshift.lab/1',
    name: lab.name,
    home: paths.home,
    bridge: bridgeName(lab.name),
    subnet: `${record.subnet}.0/24`,
    state: record.state,
    hurt: record.hurt,
    environment: labEnvironment(lab),
    hosts: [...lab.hosts.values()].map((host) => {
      const pids = host.isRunning() ? pidsIn(host.cgroup) : []
      const memoryBytes = pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0)
      return {
        name: host.name,
        hostname: host.hostname,
        address: host.address,
        user: host.sshUser.name,
        running: host.isRunning(),
        processes: pids.length,
        memoryBytes,
      }
    }),
  }
}

export function describeStatus(status: LabStatus): string {
  const mark = (running: boolean) => (running ? 'up ' : 'OFF')
  const lines = status.hosts.map((host) => {
    const where = `${host.user}@${host.address}`.padEnd(28)
    return `  ${mark(host.running)} ${host.name.padEnd(22)} ${where} ${String(Math.round(host.memoryBytes / 1024 / 1024)).padStart(4)} MiB, ${host.processes} processes`
  })
  const hurt = status.hurt.length === 0 ? '' : `, hurt: ${status.hurt.join(', ')}`
  return [`lab "${status.name}" (${status.state ?? 'no state yet'}${hurt}) on ${status.bridge} ${status.subnet}, ${status.home}`, ...lines].join('\n')
}

/** Shared pages counted by share (PSS): hosts run the same programs from the same tree. */
function proportionalBytes(pid: number): number {
  try {
    const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync(join('/proc', String(pid), 'smaps_rollup'), 'utf8'))?.[1]
    return Number(kib ?? 0) * 1024
  } catch {
    return 0
  }
}
