/** Archives and guests for the tests of retention: proven, complete, and such that the host would remove them, unless told otherwise. */
import type { Archive, GuestArchives } from '../../../src/domain/retention/archive.js'

export const NOW = 1_800_000_000

export function archive(changes: Partial<Archive> & { startedSeconds: number }): Archive {
  const volid = `tank:backup/vzdump-qemu-200-${changes.startedSeconds}.vma.zst`
  return {
    volid,
    path: `/tank/dump/${volid}`,
    sizeBytes: 1000,
    modifiedAtSeconds: changes.startedSeconds + 60,
    isProtected: false,
    hasStandardName: true,
    isOfEarlierGuest: false,
    incomplete: null,
    altered: null,
    proofLevel: 2,
    provenAt: '2026-11-01T00:00:00Z',
    isDamaged: false,
    marks: [{ of: 'job nightly', options: { 'keep-last': 2 }, mark: 'remove' }],
    ...changes,
  }
}

export function group(archives: readonly Archive[], changes: Partial<GuestArchives> = {}): GuestArchives {
  return {
    storage: 'tank',
    vmid: 200,
    name: 'docker-host',
    guest: 'present',
    classification: 'critical',
    provenCopies: 2,
    wantedInWords: 'keep-last=2 (job nightly)',
    wanted: 2,
    isRunning: false,
    heldBack: null,
    archives,
    ...changes,
  }
}
