/**
 * The activities that deliver for the alert desk: one attempt each, and exactly what came of it. They run where the secrets are (the state queue)
 * and read the settings anew each time, so that a mended `alerts.yaml` counts for the next attempt.
 */
import { readFile } from 'node:fs/promises'
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity'
import type { DeliveredAnswer, DeliveredQuestion, DeliveryActivities, OutgoingMail, SendResult, WebhookNotice, WebhookResult } from '../domain/desk/delivery.js'
import type { AlertContract } from '../domain/estate.js'
import type { Redact } from '../domain/redact.js'
import { RunbookErrors, resolveSecret, SecretError } from '../runbooks/index.js'
import { wasDelivered } from './delivery/mailbox.js'
import { SmtpSender } from './delivery/smtp.js'
import { sendWebhook } from './delivery/webhook.js'
import { briefly } from './delivery/words.js'

export interface DeliveryDeps {
  /** The contract in force. @throws RunbookErrors when there is none */
  readonly alerts: () => Promise<AlertContract>
  readonly configDir: string
  readonly redact: Redact
}

/** A setting that no attempt can use: what is wrong, in words. */
class NotConfigured extends Error {}

/** @returns the activities, and what closes the kept connection when the worker stops */
export function createDeliveryActivities(deps: DeliveryDeps): DeliveryActivities & { closeDelivery(): void } {
  const smtp = new SmtpSender(deps.redact)
  const { configDir, redact } = deps

  const secret = (reference: string) => resolveSecret(reference, configDir).catch(asNotConfigured)
  const authority = (path: string | undefined) => (path === undefined ? undefined : readFile(path, 'utf8').catch(asNotConfigured))

  return {
    async sendMail(mail: OutgoingMail): Promise<SendResult> {
      const { mail: server } = await contract(deps)
      const refused = (reply: string): SendResult => ({
        outcome: 'refused',
        stage: 'configuration',
        perRecipient: mail.deliverTo.map((address) => ({ address, outcome: 'refused', code: null, reply })),
        code: null,
        reply,
        server: server === undefined ? 'none' : `${server.server}:${server.port}`,
        latencyMs: 0,
      })
      if (server === undefined) return refused('alerts.yaml names no mail server')
      try {
        const { port, security, username } = server
        const access = { server: server.server, port, security, username, password: await secret(server.password), authority: await authority(server.caPath) }
        return await smtp.send(access, mail, cancellationSignal())
      } catch (error) {
        if (error instanceof NotConfigured) return refused(briefly(error.message, redact))
        throw error
      }
    },

    async wasDelivered(question: DeliveredQuestion): Promise<DeliveredAnswer> {
      const { mail: server } = await contract(deps)
      const cannot = (why: string): DeliveredAnswer => ({ answer: 'cannot_tell', arrivedAt: null, mailbox: 'none', why, latencyMs: 0 })
      const mailbox = server?.mailbox
      if (server === undefined || mailbox === undefined) return cannot('alerts.yaml names no mailbox to read')
      try {
        const access = { ...mailbox, password: await secret(mailbox.password), authority: await authority(server.caPath) }
        return await wasDelivered(access, question, redact, cancellationSignal())
      } catch (error) {
        if (error instanceof NotConfigured) return cannot(briefly(error.message, redact))
        throw error
      }
    },

    async sendWebhook(notice: WebhookNotice): Promise<WebhookResult> {
      const { secondChannel } = await contract(deps)
      const refused = (reply: string): WebhookResult => ({ outcome: 'refused', status: null, reply, latencyMs: 0 })
      if (secondChannel === undefined) return refused('alerts.yaml names no second channel')
      try {
        const { url, token, caPath } = secondChannel
        const access = {
          url: /^(env|file):/.test(url) ? await secret(url) : url,
          token: token === undefined ? undefined : await secret(token),
          authority: await authority(caPath),
        }
        return await sendWebhook(access, notice, redact, cancellationSignal())
      } catch (error) {
        if (error instanceof NotConfigured) return refused(briefly(error.message, redact))
        throw error
      }
    },

    closeDelivery: () => smtp.close(),
  }
}

async function contract(deps: DeliveryDeps): Promise<AlertContract> {
  try {
    return await deps.alerts()
  } catch (error) {
    if (error instanceof RunbookErrors) throw ApplicationFailure.nonRetryable(error.message, 'InvalidRunbooks')
    throw error
  }
}

function asNotConfigured(error: unknown): never {
  if (error instanceof SecretError || (error instanceof Error && 'code' in error)) throw new NotConfigured(error.message, { cause: error })
  throw error
}
