/** `nightshift approve` and `nightshift reject`: the answer of one person to exactly one plan. */
import { spawn } from 'node:child_process'
import { WorkflowUpdateFailedError } from '@temporalio/client'
import { APPROVAL_NAMESPACE, type ApprovalAnswer, approvalMessage } from '../domain/change/approval.js'
import { ConfigError } from '../domain/config-error.js'
import type { AnswerReceipt } from '../workflows/approval.js'
import { connectEstate } from './estate-client.js'
import { estateIdOf } from './estate-id.js'
import { asAnswer } from './plan.js'

export interface AnswerOptions {
  readonly config: string
  readonly workflowId: string
  readonly decision: 'approve' | 'reject'
  readonly answer: Pick<ApprovalAnswer, 'digest' | 'approver' | 'reason'>
  /** Path of a private key, or of the public half of one that an agent holds. */
  readonly signKey?: string
}

/** The run did not count the answer: exit code 1, with the reason. */
export class Refused extends Error {
  readonly exitCode = 1
  readonly next: string

  constructor(why: string, workflowId: string) {
    super(`not counted: ${why}`)
    this.next = `nightshift plan ${workflowId}`
  }
}

const DEADLINE_MS = 60_000

/** @throws Refused, UsageError, ConfigError (the key cannot sign) */
export async function giveAnswer(options: AnswerOptions): Promise<AnswerReceipt> {
  const { decision, answer, workflowId } = options
  const estate = await estateIdOf(options.config)
  const temporal = await connectEstate(estate)
  try {
    const handle = temporal.client.workflow.getHandle(workflowId)
    const { runId } = await handle.describe()
    const message = approvalMessage({ estate, workflowId, runId, decision, answer })
    const signature = options.signKey === undefined ? {} : { signature: await sign(message, options.signKey) }
    const bound = temporal.client.workflow.getHandle(workflowId, runId)
    return await temporal.client.withDeadline(Date.now() + DEADLINE_MS, () =>
      bound.executeUpdate<AnswerReceipt, [ApprovalAnswer]>(decision, { args: [{ ...answer, ...signature }] }),
    )
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw new Refused(error.cause?.message ?? error.message, workflowId)
    throw asAnswer(error, workflowId)
  } finally {
    await temporal.close()
  }
}

/** `ssh-keygen -Y sign`; a passphrase is asked for on the terminal, the message goes by standard input. */
async function sign(message: string, key: string): Promise<string> {
  const child = spawn('ssh-keygen', ['-Y', 'sign', '-n', APPROVAL_NAMESPACE, '-f', key], { stdio: ['pipe', 'pipe', 'pipe'] })
  const [out, err]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => out.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => err.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(message)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new ConfigError(`ssh-keygen cannot be run: ${error.message}`, 'install it: apt-get install openssh-client')))
    child.once('close', resolve)
  })
  if (code === 0) return out.join('')
  const said = err.join('').trim().split('\n').at(-1) ?? ''
  throw new ConfigError(
    `the answer could not be signed with ${key}: ${said}`,
    `the public half of a key stands in allowed_signers; make one with: ssh-keygen -t ed25519 -f ${key}`,
  )
}
