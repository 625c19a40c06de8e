/**
 * What of a reading may be kept: it goes into the history of the run. Proxmox and Postfix answer with more than is asked, and a token may stand in a
 * header or a setting, where no list of known secrets has it. (Links are cut on the host already.) Pure.
 */
import type { Answer, RelayObservation } from './observation.js'

/** By question: the fields that are kept of each row of JSON. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  'endpoints smtp': ['name', 'disable', 'origin', 'server', 'mailto', 'mailto-user', 'from-address'],
  'endpoints gotify': ['name', 'disable', 'origin', 'server'],
  'endpoints webhook': ['name', 'disable', 'origin', 'url'],
  users: ['userid', 'email', 'enable'],
  options: ['email_from', 'notify'],
}

/** A login that stands in main.cf or master.cf itself: `static:name:password`, `inline:{…}`. What is a file or a name of one is kept. */
const LOGIN_IN_SETTINGS = /^(.*smtp_sasl_password_maps\s*=\s*).*\b(?:static|inline|regexp|pcre|cidr):\s*[^/\s].*$/gm
export const HIDDEN_LOGIN = '***'

/** @returns the reading without what may be a secret */
export function withoutSecrets(seen: RelayObservation): RelayObservation {
  return { ...seen, answers: Object.fromEntries(Object.entries(seen.answers).map(([name, answer]) => [name, shown(name, answer)])) }
}

function shown(name: string, answer: Answer): Answer {
  if (answer.kind !== 'run') return answer
  const fields = KEPT[name]
  return { ...answer, out: fields === undefined ? answer.out.replace(LOGIN_IN_SETTINGS, `$1${HIDDEN_LOGIN}`) : kept(answer.out, fields) }
}

/** What is no JSON stays away whole: its judge says that it could not be read. */
function kept(text: string, fields: readonly string[]): string {
  const only = (row: unknown): unknown =>
    typeof row === 'object' && row !== null ? Object.fromEntries(Object.entries(row).filter(([field]) => fields.includes(field))) : row
  try {
    const value: unknown = JSON.parse(text)
    return JSON.stringify(Array.isArray(value) ? value.map(only) : only(value))
  } catch {
    return ''
  }
}
