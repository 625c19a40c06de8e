/** Proves one archive that an operator names: complete, and readable to its last byte. */
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow'
import type { ProofResult } from '../domain/proof/types.js'
import { verifyArtifactInput } from './inputs.js'
import { proveArtifact, stateActivities } from './prove-artifact.js'
import { parseInput, phase, runbookAttributes } from './shell.js'

/** A person waits for the answer: a host that is away longer makes it `unknown`. */
const PATIENCE_SECONDS = 60

export async function verifyArtifact(rawInput: { host: string; volid: string; requestedBy?: string }): Promise<ProofResult> {
  const { host, volid } = parseInput('verifyArtifact', verifyArtifactInput, rawInput)
  upsertSearchAttributes(runbookAttributes('verifyArtifact'))

  phase('open', `Finding the way to ${host}.`)
  const route = await stateActivities().routeToHost.executeWithOptions({ summary: `Where is ${host}?` }, [{ host }])

  phase('prove', `Looking at ${volid}.`)
  const proof = await proveArtifact(route, volid, { say: (doing) => setCurrentDetails(`**prove** · ${doing}`), patienceSeconds: PATIENCE_SECONDS })

  phase('done', `**${proof.outcome}**: ${proof.message}`)
  return proof
}
