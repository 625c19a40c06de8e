/** The shape of `email-relay.yaml`: nightshift's own file, so that every unknown key is an error. */
import type { z } from 'zod'
import { RELAY_CHANNELS } from '../domain/email-relay-runbook.js'
import * as f from './fields.js'

/** Each look leaves its traces in the history of the run. */
const MOST_LOOKS = 1500

const host = f.mapping({
  host: f.name().describe('A host of kind proxmox in estate.yaml.'),
  mode: f.oneOf(['relay', 'disable']).describe('relay: every mail of the host goes through the server above. disable: no mail leaves the host.'),
  old_queue: f
    .oneOf(['keep', 'flush', 'delete'])
    .optional()
    .describe('What becomes of mail that waits in the queue once the relay is proven; asked for before it is done. Left out: keep.'),
})

const exception = f.mapping({
  host: f.name().describe('A host of this file.'),
  channel: f.oneOf(RELAY_CHANNELS).describe('The channel that the finding names.'),
  place: f.oneLine(300).describe('The place that the finding names, exactly.'),
  reason: f.oneLine().describe('Why it may be so.'),
  until: f.date().describe('Last day on which it counts, in the time zone of the estate (YYYY-MM-DD).'),
})

const PLAIN_ADDRESS = 'an address https://… itself: it stands in a script that everyone on that host can read'

const watcher = f
  .mapping({
    watches: f.name().describe('A site: where nightshift runs, or whose loss would silence it.'),
    host: f.name().describe('Where the watcher lies: a Proxmox host of this file, at another site.'),
    mail_to: f.mailAddress().optional().describe("To whom it mails, by that host's own sendmail."),
    webhook: f
      .webhookUrl()
      .refine((text) => /^https?:/.test(text), { error: PLAIN_ADDRESS })
      .optional()
      .describe('Where it posts (ntfy understands it). Needed where the mail server stands at the watched site.'),
  })
  .refine((row) => row.mail_to !== undefined || row.webhook !== undefined, { error: 'a way to say it: mail_to, webhook or both', path: ['mail_to'] })

export const emailRelaySchema = f
  .mapping({
    version: f.formatVersion().describe('Version of this format.'),
    approval: f
      .mapping({
        approvers: f
          .listOf(f.name(), { min: 1, max: 50 })
          .describe('Who may say yes. A signature is checked against the same name in `allowed_signers` of this folder.'),
        needed: f.wholeNumber(1, 50, 'people').optional().describe('How many different people must say yes. Left out: 1.'),
        may_approve_own: f.trueOrFalse().optional().describe('Whoever asked for the run may approve it: one operator alone needs this. Left out: false.'),
        timeout_hours: f.hours().optional().describe('Without an answer within this time the answer is no. Left out: 72.'),
        preapprove_harmless: f.trueOrFalse().optional().describe('Plans that neither delete nor lessen protection need nobody. Left out: false.'),
        signature: f.oneOf(['optional', 'required']).optional().describe('required: a yes without a valid SSH signature is refused. Left out: optional.'),
      })
      .describe('Who decides about changes of how hosts send mail.'),
    relay: f
      .mapping({
        server: f.serverName().describe('The mail server, as the hosts name it. Its certificate has to be valid for this name.'),
        port: f.wholeNumber(1, 65_535).optional().describe('TLS from the first byte (SMTPS). Left out: 465.'),
        username: f.oneLine(254).describe('Name to log in with.'),
        password: f.secretReference().describe('Reference to the password: env:NAME or file:PATH.'),
        sender: f.mailAddress().describe('Envelope sender of everything that leaves a host: an address of that account.'),
        root_mail_to: f.mailAddress().describe('Who reads what a host has to say to root. Its mailbox is mail.mailbox of alerts.yaml.'),
        received_by: f.serverName().optional().describe('How the server calls itself in the Received lines that it writes. Left out: server.'),
      })
      .describe('The mail server that hosts hand their mail to.'),
    watch: f
      .mapping({
        until: f
          .oneOf(['time', 'events'])
          .optional()
          .describe("time: for so many days. events: until a job's notification and a change of packages have passed. Left out: time."),
        days: f.wholeNumber(1, 90, 'days').optional().describe('Left out: 7.'),
        every_minutes: f.wholeNumber(1, 1440, 'minutes').optional().describe('Left out: 60.'),
      })
      .refine(({ days = 7, every_minutes = 60 }) => (days * 1440) / every_minutes <= MOST_LOOKS, {
        error: `at most ${MOST_LOOKS} looks in all days: a greater every_minutes`,
        path: ['every_minutes'],
      })
      .optional()
      .describe('How long mail log and queue are watched for another route before "there is none" counts.'),
    hosts: f.listOf(host, { max: 200 }).describe('How each Proxmox host may send mail.'),
    exceptions: f.listOf(exception, { max: 500 }).optional().describe('Findings that are known and accepted: the gate accepts exactly these.'),
    watcher: f
      .listOf(watcher, { max: 20 })
      .optional()
      .describe('Who says, from another site, that nightshift itself has gone silent; for each watched site one.'),
  })
  .meta({ title: 'nightshift email relay', description: 'By which way each Proxmox host may send mail, and what is accepted beside it.' })

export type EmailRelayFile = z.infer<typeof emailRelaySchema>
