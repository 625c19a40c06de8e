/** What a run changed on a Proxmox host and in the runbook files, without what differs from run to run. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LabHost } from '../../lab/host.js'
import type { ChangeResult } from '../../src/domain/change/apply.js'
import type { FaultPlace } from '../fault-scenario.js'

/** Where Proxmox keeps jobs, storages and guests, and the state of its jobs. */
export const PROXMOX_FOLDERS = ['/etc/pve', '/var/lib/pve-manager', '/run/nightshift-verify'] as const

const RUNBOOK_FILES = ['vzdump.yaml', 'inventory.yaml', 'calendar.yaml'] as const

/** Files as Proxmox wrote them: every byte counts. */
export async function proxmoxFiles(host: LabHost): Promise<Record<string, string>> {
  const read = async (path: string) => [path, (await host.exec(['sh', '-c', 'cat "$1" 2>/dev/null || :', 'sh', path])).stdout] as const
  return Object.fromEntries(await Promise.all(['/etc/pve/jobs.cfg', '/etc/pve/storage.cfg'].map(read)))
}

export async function runbookFiles({ config }: FaultPlace): Promise<Record<string, string>> {
  return Object.fromEntries(await Promise.all(RUNBOOK_FILES.map(async (file) => [file, await readFile(join(config, file), 'utf8')] as const)))
}

/** How the run ended, for whoever reads its result. */
export function endOf(result: unknown): unknown {
  const { state, message, planDigest, steps, proof } = result as ChangeResult
  return { state, message, planDigest, steps, proof }
}
