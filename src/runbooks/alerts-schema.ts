/** The shape of `alerts.yaml`: which incident goes to whom. nightshift's own file, so that every unknown key is an error. */
import { z } from 'zod'
import * as f from './fields.js'

const TIME_ALLOWED = 'a time of day, written "HH:MM"'
const repeatHours = () => f.wholeNumber(1, 8760, 'hours')
const recipients = () => f.listOf(f.mailAddress(), { min: 1, max: 50 })

const rule = f.mapping({
  conditions: f
    .listOf(f.oneOf(['freshness', 'job-result', 'integrity', 'coverage', 'blind', 'space', 'config', 'clock', 'delivery', 'proof']), { min: 1, max: 10 })
    .describe('The conditions that this rule speaks of.'),
  severity: f.oneOf(['critical', 'warning', 'unknown']).describe('The lowest severity that is mailed.'),
  recipients: recipients().optional().describe('Left out: default.recipients.'),
  repeat_hours: repeatHours().optional().describe('Time between two mails about one open incident. Left out: default.repeat_hours.'),
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
    digest_time: z
      .string({ error: TIME_ALLOWED })
      .regex(/^([01]\d|2[0-3]):[0-5]\d$/, TIME_ALLOWED)
      .optional()
      .describe("When the daily summary is sent, in the estate's zone. Left out: 07:30."),
  })
  .meta({ title: 'nightshift alerts', description: 'The notification contract: which incident goes to whom.' })

export type AlertsFile = z.infer<typeof alertsSchema>
