/** Declares `nightshift verify-artifact`. */
import type { Command } from 'commander'
import { bareCommand, type CommonOptions, withCommonOptions } from '../command.js'

export function command(): Command {
  const declared = bareCommand('verify-artifact', 'prove one archive complete (1) and readable to its last byte (2)')
    .argument('<host>', 'a Proxmox host of estate.yaml')
    .argument('<volid>', 'STORAGE:backup/NAME, as `pvesm list STORAGE` prints it')
  withCommonOptions(declared, [
    ['nightshift verify-artifact pve tank-backups:backup/vzdump-qemu-211-2026_11_21-02_00_04.vma.zst', '0 proven, 2 damaged, 3 unknown'],
    ['nightshift verify-artifact pve VOLID --json', 'level, size and sha256 for programs'],
  ])
  return declared.action(async (host: string, volid: string, { config, json }: CommonOptions) => {
    const { verifyArtifact } = await import('../verify-artifact.js')
    process.exitCode = await verifyArtifact({ config, host, volid, json })
  })
}
