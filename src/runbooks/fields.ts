/**
 * The kinds of values that runbook files are made of, as zod schemas. The `error` text of each says what is allowed
 * ("a whole number from 1 to 1440"): the loader shows it as it is, so write it for the person who edits the file.
 */
import { z } from 'zod'
import { isSecretReference } from './secret-reference.js'
import { isPlainAbsolutePath, isPlainGlob, isPlainLocalPath, isRealDate, isReservedWord, isTimeZone } from './text-rules.js'

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const NAME_ALLOWED = 'a name of letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 128 characters'

export const name = () =>
  z
    .string({ error: NAME_ALLOWED })
    .regex(NAME_PATTERN, NAME_ALLOWED)
    .refine((text) => !isReservedWord(text), { error: 'a name that is no word of JavaScript itself' })

export const oneLine = (maxLength = 300) => {
  const allowed = `a text on one line, 1 to ${maxLength} characters`
  return z
    .string({ error: allowed })
    .max(maxLength, allowed)
    .regex(/^(?!\s*$)[^\r\n\t]+$/, allowed)
}

export const longText = () => z.string({ error: 'a text of at most 4000 characters' }).max(4000, 'a text of at most 4000 characters')

export const wholeNumber = (from: number, to: number, unit = '') => {
  const allowed = `a whole number${unit === '' ? '' : ` of ${unit}`} from ${from} to ${to}`
  return z.int({ error: allowed }).min(from, allowed).max(to, allowed)
}

/** More than nothing, at most ten years; fractions are fine. */
export const hours = () => {
  const allowed = 'a number of hours above 0, at most 87600'
  return z.number({ error: allowed }).gt(0, allowed).lte(87_600, allowed)
}

export const trueOrFalse = () => z.boolean({ error: 'true or false' })

export const oneOf = <const T extends readonly [string, ...string[]]>(values: T) => z.enum(values, { error: `one of ${values.join(', ')}` })

export const formatVersion = () => z.literal(1, { error: '1, the only version there is' })

export const vmid = () => wholeNumber(100, 999_999_999)

const ZONE_ALLOWED = 'an IANA time zone such as America/New_York or UTC'
export const timeZone = () => z.string({ error: ZONE_ALLOWED }).refine(isTimeZone, { error: ZONE_ALLOWED })

const DATE_ALLOWED = 'a date that exists, written YYYY-MM-DD'
export const date = () =>
  z
    .string({ error: DATE_ALLOWED })
    .regex(/^\d{4}-\d{2}-\d{2}$/, DATE_ALLOWED)
    .refine(isRealDate, { error: DATE_ALLOWED })

const PATH_ALLOWED = 'an absolute path without `..`, of letters, digits, spaces and `. _ - + @ : = ~ % #`'
export const absolutePath = () => z.string({ error: PATH_ALLOWED }).regex(/^\//, PATH_ALLOWED).refine(isPlainAbsolutePath, { error: PATH_ALLOWED })

const LOCAL_PATH_ALLOWED = 'a path on this machine, relative to this folder or absolute, of letters, digits, spaces and `. _ - + @ : = ~ % #`'
export const localPath = () => z.string({ error: LOCAL_PATH_ALLOWED }).refine(isPlainLocalPath, { error: LOCAL_PATH_ALLOWED })

const GLOB_ALLOWED = 'a file pattern below base_path with `*`, `?`, `[a-z]` and `/` for folders; no `..`, no `**`, no `{}`'
export const glob = () => z.string({ error: GLOB_ALLOWED }).refine(isPlainGlob, { error: GLOB_ALLOWED })

const FILE_REFERENCE_ALLOWED = 'file:PATH, relative to this folder or absolute'
export const fileReference = () =>
  z
    .string({ error: FILE_REFERENCE_ALLOWED })
    .regex(/^file:/, FILE_REFERENCE_ALLOWED)
    .refine((text) => isPlainLocalPath(text.slice('file:'.length)), { error: FILE_REFERENCE_ALLOWED })

const MAIL_ALLOWED = 'one bare mail address such as ops@example.org'
export const mailAddress = () =>
  z
    .string({ error: MAIL_ALLOWED })
    .max(254, MAIL_ALLOWED)
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?=[A-Za-z0-9_+-])){0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/,
      MAIL_ALLOWED,
    )

const SECRET_ALLOWED = 'a reference, env:NAME or file:PATH, never the secret itself'
export const secretReference = () => z.string({ error: SECRET_ALLOWED }).refine(isSecretReference, { error: SECRET_ALLOWED })

const SERVER_ALLOWED = 'a host name or an IP address'
export const serverName = () =>
  z.string({ error: SERVER_ALLOWED }).regex(/^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/, SERVER_ALLOWED)

const WEBHOOK_ALLOWED = 'an address https://… without a password in it, or a reference env:NAME or file:PATH'
export const webhookUrl = () =>
  z
    .string({ error: WEBHOOK_ALLOWED })
    .max(2000, WEBHOOK_ALLOWED)
    .refine((text) => isSecretReference(text) || /^https?:\/\/[^\s@\u0000-\u001f\u007f]+$/.test(text), { error: WEBHOOK_ALLOWED })

const CRON_PIECE_ALLOWED = 'a piece of the cron line, 3 to 200 characters, of letters, digits, single spaces and `. _ - + @ : = / %`'
/** A piece of a cron line to look for. No quotes, `;`, `$` and the like: a path or a program's name is enough to know a line by. */
export const cronLinePiece = () =>
  z.string({ error: CRON_PIECE_ALLOWED }).regex(/^(?=.{3,200}$)[A-Za-z0-9._+@:=/%-]+( [A-Za-z0-9._+@:=/%-]+)*$/, CRON_PIECE_ALLOWED)

const UNIT_ALLOWED = 'the name of a systemd timer, such as backup.timer'
export const timerUnit = () => z.string({ error: UNIT_ALLOWED }).regex(/^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.timer$/, UNIT_ALLOWED)

const DESTINATION_ALLOWED = 'an SSH destination as the source host writes it: NAME or USER@NAME'
export const sshDestination = () =>
  z.string({ error: DESTINATION_ALLOWED }).regex(/^([A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?[A-Za-z0-9][A-Za-z0-9.-]{0,253}$/, DESTINATION_ALLOWED)

export const listOf = <T extends z.ZodType>(item: T, options: { min?: number; max?: number } = {}) => {
  const { min = 0, max = 10_000 } = options
  const allowed = min > 0 ? `a list of at least ${min}` : 'a list'
  return z.array(item, { error: allowed }).min(min, allowed).max(max, `a list of at most ${max}`)
}

/** A mapping of ours: unknown keys are errors. */
export const mapping = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape, { error: 'a mapping' })

/** A mapping of the operator's: unknown keys stay, those that look like a slip of the pen are warned of. */
export const operatorsMapping = <S extends z.ZodRawShape>(shape: S) => z.looseObject(shape, { error: 'a mapping' })

export const classification = () => oneOf(['critical', 'important', 'rebuildable'])

export const waiver = () =>
  mapping({
    reason: oneLine().describe('Why this may stay as it is. Shown wherever the waiver counts.'),
    until: date().describe('Last day on which the waiver counts, in the time zone of the estate (YYYY-MM-DD).'),
  }).describe('Known, and so until a date: the thing is shown, and alarms nobody.')

export const decommissioned = () =>
  mapping({
    reason: oneLine().describe('What became of it.'),
    date: date().describe('Since when it is gone (YYYY-MM-DD).'),
  }).describe('Gone for good: nothing is expected of it any more.')
