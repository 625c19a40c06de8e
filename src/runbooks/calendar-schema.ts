/** The shape of `calendar.yaml`: the operator's own format, with `byday`, `bymonthday`, `guests`, `job` and `decommissioned` as our additions. */
import { z } from 'zod'
import * as f from './fields.js'

const oneOrMore = <T extends z.ZodType>(item: T, allowed: string) => z.union([item, z.array(item).min(1).max(31)], { error: allowed })

const JOB_ALLOWED = 'HOST/JOB-ID'

const event = f.operatorsMapping({
  id: f.name().describe('Identity of the event.'),
  summary: f.oneLine(200).describe('Its title on the phone.'),
  freq: f.oneOf(['HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY']).describe('How often it comes (RFC 5545 FREQ).'),
  byhour: oneOrMore(f.wholeNumber(0, 23), 'an hour from 0 to 23, or a list of them').optional().describe('Hour or hours.'),
  byminute: oneOrMore(f.wholeNumber(0, 59), 'a minute from 0 to 59, or a list of them').optional().describe('Minute or minutes.'),
  byday: oneOrMore(f.oneOf(['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']), 'MO, TU, WE, TH, FR, SA or SU, or a list of them')
    .optional()
    .describe('Weekday or weekdays. A weekly event needs it: without, the day comes from dtstart_date.'),
  bymonthday: oneOrMore(
    f.wholeNumber(-31, 31).refine((day) => day !== 0, { error: 'no 0' }),
    'a day of the month from 1 to 31 (or -31 to -1, from its end), or a list of them',
  )
    .optional()
    .describe('Day or days of the month. A monthly event needs it.'),
  duration_minutes: f.wholeNumber(1, 10_080, 'minutes').describe('Length of the window.'),
  description: f.longText().nullable().optional().describe('For people.'),
  source: f.longText().nullable().optional().describe('Where the schedule really lives.'),
  guests: f.listOf(f.vmid(), { max: 1000 }).optional().describe('Guests that this window is about.'),
  job: z
    .string({ error: JOB_ALLOWED })
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\/[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, JOB_ALLOWED)
    .optional()
    .describe('The vzdump job that this event shows: HOST/JOB-ID.'),
  decommissioned: f.decommissioned().optional(),
})

export const calendarSchema = f
  .operatorsMapping({
    version: f.formatVersion().optional().describe('Version of this format.'),
    timezone: f.timeZone().optional().describe("Zone of all hours in this file. Left out: the estate's."),
    dtstart_date: f.date().describe('First day of the events (YYYY-MM-DD).'),
    calendar_name: f.oneLine(128).describe('Name of the calendar.'),
    events: f.listOf(event).describe('The windows.'),
  })
  .meta({ title: 'nightshift calendar', description: 'The backup windows as a calendar shows them.' })

export type CalendarFile = z.infer<typeof calendarSchema>
