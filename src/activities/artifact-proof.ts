/**
 * Proof of single archives: level 1 by what stands beside them, level 2 by reading every byte on their own host (`src/domain/proof`).
 * `inspectArtifact` and `verifyArtifactOnHost` need SSH only; the others run beside the state folder.
 */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import { readInspection, readVerification } from '../domain/proof/answers.js'
import { inspectProgram, type VerifyRequest, verifyProgram } from '../domain/proof/programs.js'
import type { ArtifactFile, Completeness, HostRoute, Readability } from '../domain/proof/types.js'
import { redactDeep } from '../domain/redact.js'
import type { ProofLevel } from '../state/index.js'
import type { ReadingDeps, StateDeps } from './monitor.js'
import { routeOf } from './vzdump.js'

export type ArtifactProofActivities = ReturnType<typeof createArtifactSiteActivities> & ReturnType<typeof createArtifactStateActivities>

/** One answer of a host: a few of its processes, each half a second on real hosts. */
const DEADLINE_MS = 45_000
export function createArtifactSiteActivities(deps: ReadingDeps) {
  return {
    /** Level 1. What keeps the host from being asked is thrown (retryable); what it answers is a verdict. */
    async inspectArtifact(args: { route: HostRoute; volid: string }): Promise<Completeness> {
      return redactDeep(readInspection(args.volid, await runPerl(deps, args.route, inspectProgram({ volid: args.volid }))), deps.redact)
    },

    /** Level 2, begun or followed: safe to repeat at any time, also after a crash of worker, connection or host. */
    async verifyArtifactOnHost(args: { route: HostRoute; request: VerifyRequest }): Promise<Readability> {
      return redactDeep(readVerification(await runPerl(deps, args.route, verifyProgram(args.request))), deps.redact)
    },
  }
}

/** Runs a Perl program on a host, its whole text by standard input. @throws Error of the transport; `HostRefused` when Perl itself fails */
export async function runPerl(deps: ReadingDeps, route: HostRoute, program: string): Promise<string> {
  const result = await deps.ssh(route.sshAlias).run(route.sshAlias, {
    argv: ['perl', '-'],
    stdin: program,
    sudo: route.sudo,
    deadlineMs: DEADLINE_MS,
    maxOutputBytes: 1024 * 1024,
    signal: cancellationSignal(),
    okExitCodes: 'any',
  })
  if (result.exitCode !== 0) {
    const said = result.stderrText.trim().split('\n').at(-1) ?? ''
    throw ApplicationFailure.retryable(deps.redact(`perl on ${route.host} ended with ${result.exitCode}: ${said.slice(0, 300)}`), 'HostRefused')
  }
  return result.stdoutText.trim()
}

export function createArtifactStateActivities(deps: ReadingDeps & StateDeps) {
  return {
    /** How to reach a Proxmox host. @throws ApplicationFailure `InvalidInput` for a host that is none */
    async routeToHost(args: { host: string }): Promise<HostRoute> {
      const { set } = await deps.runbooks.refresh()
      return routeOf(set, args.host)
    },

    /** Keeps what was proven, or that it is damaged. Repeating it changes nothing. */
    async recordProof(args: { site: string; file: ArtifactFile; level: ProofLevel; sha256: string | null; damaged: boolean }): Promise<void> {
      const { volid, sizeBytes, modifiedSeconds } = args.file
      const key = { site: args.site, volid, sizeBytes, modifiedAt: new Date(modifiedSeconds * 1000).toISOString() }
      const provenAt = deps.now().toISOString()
      if (args.damaged) deps.state.proofs.putDamaged(key, provenAt)
      else deps.state.proofs.put({ ...key, level: args.level, sha256: args.sha256, provenAt })
    },
  }
}
