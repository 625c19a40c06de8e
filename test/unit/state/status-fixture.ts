/** A small but complete status document, to be varied by tests. */
import type { StatusDocument, TargetStatus } from '../../../src/domain/status.js'

export function aTarget(over: Partial<TargetStatus> = {}): TargetStatus {
  return {
    id: 'vm-204-infra-core-primary',
    site: 'shop',
    host: 'pve',
    enabled: true,
    classification: 'critical',
    state: 'OK',
    reason: 'ok',
    severity: 'ok',
    band: 'OK',
    since: '2026-02-11T08:30:00.000Z',
    message: 'The newest artifact is complete.',
    next: null,
    artifact: { path: '/tank/dump/vzdump-qemu-204-2026_02_12-03_00_01.vma.zst', sizeBytes: 12_400_000_000, modifiedAt: '2026-02-12T03:20:00.000Z' },
    ageSeconds: 18_600,
    limitSeconds: 93_600,
    dueAt: '2026-02-13T03:30:00.000Z',
    lastGood: { path: '/tank/dump/vzdump-qemu-204-2026_02_12-03_00_01.vma.zst', ageSeconds: 18_600, proof: 1 },
    inhibitedBy: null,
    silencedUntil: null,
    ...over,
  }
}

export function aStatus(over: Partial<StatusDocument> = {}): StatusDocument {
  return {
    schema: 'nightshift.status/1',
    estate: 'lab',
    takenAt: '2026-02-12T08:30:00.000Z',
    passId: 'pass-1',
    workflowId: 'monitor/lab',
    runId: 'run-1',
    rulesDigest: 'a'.repeat(64),
    periodSeconds: 600,
    stale: false,
    verdict: 'ok',
    expected: 1,
    seen: 1,
    targets: [aTarget()],
    guests: [],
    jobs: [],
    storages: [],
    hosts: [],
    findings: [],
    ...over,
  }
}
