/** The shape of `alerts.yaml`: which incident goes to whom. nightshift's own file, so that every unknown key is an error. */
import { z } from 'zod'
import * as f from './fields.js'

const TIME_ALLOWED = 'a time of day, written "HH:MM"'
/** Never oftener than once a day: what is said every few hours is not read. */
const repeatHours = () => f.wholeNumber(24, 8760, 'hours')
const recipients = () => f.listOf(f.mailAddress(), { min: 1, max: 50 })

const rule = f.mapping({
  conditions: f
    .listOf(f.oneOf(['freshness', 'job-result', 'integrity', 'coverage', 'blind', 'space', 'config', 'clock', 'delivery', 'proof']), { min: 1, max: 10 })
    .describe('The conditions that this rule speaks of.'),
  severity: f.oneOf(['critical', 'warning', 'unknown']).describe('The lowest severity that is mailed; what is below stands in the daily summary.'),
  sender: f.mailAddress().optional().describe('Left out: sender.'),
  recipients: recipients().optional().describe('Left out: default.recipients.'),
  repeat_hours: repeatHours().optional().describe('Time between two mails about one open incident. Left out: default.repeat_hours.'),
})

const secret = () => f.secretReference()

const standsOn = () =>
  f
    .oneLine(120)
    .optional()
    .describe('The host of estate.yaml that it stands on, or `elsewhere`: what is told by it waits while that host is down, and status and doctor say so.')

const mailbox = f.mapping({
  address: f.mailAddress().describe('The recipient whose mailbox this is: only what is sent to that address can be found in it.'),
  server: f.serverName().optional().describe('IMAP server. Left out: mail.server.'),
  port: f.wholeNumber(1, 65_535).optional().describe('IMAP over TLS. Left out: 993.'),
  username: f.oneLine(254).describe('Name to log in with.'),
  password: secret().describe('Reference to the password: env:NAME or file:PATH.'),
  host: standsOn().describe('As mail.host. Left out: mail.host, where the server is the same.'),
  folders: f.listOf(f.oneLine(200), { min: 1, max: 10 }).optional().describe('Where a message may have been filed. Left out: INBOX and Junk.'),
})

const mail = f.mapping({
  server: f.serverName().describe('SMTP submission server.'),
  host: standsOn(),
  waiver: f.waiver().optional().describe('That alerts go through a host that they may be about is known and accepted.'),
  port: f.wholeNumber(1, 65_535).optional().describe('Left out: 465 for tls, 587 for starttls.'),
  security: f.oneOf(['tls', 'starttls']).optional().describe('How the connection is protected; certificates are always verified. Left out: tls.'),
  ca: f
    .localPath()
    .optional()
    .describe("File with the certificate authority (PEM) that the server's certificate is checked against. Left out: those of the system."),
  username: f.oneLine(254).describe('Name to log in with.'),
  password: secret().describe('Reference to the password: env:NAME or file:PATH.'),
  mailbox: mailbox.optional().describe('Read (never written) to find out whether a message whose answer was lost has arrived, and for the weekly canary.'),
})

const secondChannel = f.mapping({
  url: f
    .webhookUrl()
    .describe('Where the message is posted (ntfy understands it): https://…, or a reference env:NAME or file:PATH when the address itself is the secret.'),
  host: standsOn().describe('As mail.host.'),
  token: secret().optional().describe('Reference to a bearer token.'),
  ca: f.localPath().optional().describe('As mail.ca.'),
})

const flapping = f
  .mapping({
    window_hours: f.wholeNumber(1, 168, 'hours').optional().describe('Changes within this time count. Left out: 12.'),
    enter_changes: f.wholeNumber(3, 100).optional().describe('From so many changes on it counts as flapping and is mailed once. Left out: 6.'),
    leave_changes: f.wholeNumber(0, 99).optional().describe('With at most so many it has settled. Left out: 2.'),
  })
  .refine((file) => (file.leave_changes ?? 2) < (file.enter_changes ?? 6), { error: 'leave_changes smaller than enter_changes', path: ['leave_changes'] })

const limits = f.mapping({
  mails_per_hour: f
    .wholeNumber(1, 10_000)
    .optional()
    .describe(
      'Most that one recipient is sent in an hour; what is beyond is folded into fewer messages, never dropped. Left out: 20, for a server that takes 25.',
    ),
  open_per_site: f.wholeNumber(1, 500).optional().describe('More open incidents of one site than this are told as one. Left out: 500.'),
})

export const alertsSchema = f
  .mapping({
    version: f.formatVersion().describe('Version of this format.'),
    sender: f.mailAddress().describe('The address that alerts come from.'),
    default: f
      .mapping({
        recipients: recipients().describe('Who is told.'),
        repeat_hours: repeatHours().optional().describe('Time between two mails about one open incident. Left out: 24.'),
      })
      .describe('What no rule speaks of.'),
    rules: f.listOf(rule, { max: 100 }).optional().describe('The first rule that fits decides.'),
    unknown_after_minutes: f.wholeNumber(0, 1440, 'minutes').optional().describe('What cannot be looked at is mailed after this time. Left out: 30.'),
    flapping: flapping.optional().describe('When an incident that comes and goes is told once instead of each time.'),
    limits: limits.optional().describe('How much is sent.'),
    mail: mail.optional().describe('The mail server. Left out: nothing can be mailed, and that is itself an incident.'),
    second_channel: secondChannel.optional().describe('Tried only when mail fails.'),
    digest_time: z
      .string({ error: TIME_ALLOWED })
      .regex(/^([01]\d|2[0-3]):[0-5]\d$/, TIME_ALLOWED)
      .optional()
      .describe("When the daily summary is sent, in the estate's zone. Left out: 07:30."),
  })
  .meta({ title: 'nightshift alerts', description: 'The notification contract: which incident goes to whom.' })

export type AlertsFile = z.infer<typeof alertsSchema>
