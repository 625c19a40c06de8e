/** Keys and receipt bodies for tests. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ReceiptBody } from '../../../src/state/index.js'

/** A fresh key pair without passphrase, made by the real ssh-keygen. */
export function makeKey(path: string, type = 'ed25519', passphrase = ''): string {
  mkdirSync(dirname(path), { recursive: true })
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', 'test', '-f', path])
  return path
}

export function aBody(runId: string, over: Partial<ReceiptBody> = {}): ReceiptBody {
  return {
    kind: 'monitor',
    run: { runbook: 'backupMonitor', runbookDigest: 'b'.repeat(64), workflowId: 'monitor/lab', runId, version: '0.1.0' },
    requestedBy: 'schedule',
    approval: null,
    observed: { observationsDigest: 'c'.repeat(64), expected: 28, seen: 28 },
    steps: [],
    outcome: { verdict: 'ok', verdictsDigest: 'd'.repeat(64) },
    times: { takenAt: '2026-02-12T08:30:00.000Z' },
    ...over,
  }
}
