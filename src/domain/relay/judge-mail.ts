/** The channels of the local mail system: .forward, aliases, Postfix, its queue, other mailers. Pure. */
import { aliasEntries, compiledEntries } from './aliases.js'
import type { Found, RelayContext } from './finding.js'
import { addressesIn, isAllowed, isLocal, strangers } from './finding.js'
import { fileOf, linesOf, outputOf, type RelayObservation, Unreadable } from './observation.js'
import { deliveriesIn } from './proof.js'
import { FORWARD_PROGRAMS, SASL_PASSWORD_PATH } from './questions.js'

export const FORWARD_PATH = '/root/.forward'
export const ALIASES_PATH = '/etc/aliases'
const MASTER_PATH = '/etc/postfix/master.cf'

/** What Postfix has to be told; `''` means empty. Wrapper mode is for SMTPS; `secure` compares the name in the certificate, `encrypt` takes any. */
export function wantedPostfix({ relay, host }: Pick<RelayContext, 'relay' | 'host'>): Readonly<Record<string, string>> {
  const nowhereElse = Object.fromEntries(MUST_BE_EMPTY.map((name) => [name, '']))
  if (host.mode === 'disable') {
    const refused = 'error:5.7.1 this host sends no mail, by decision'
    return { ...nowhereElse, relayhost: '', default_transport: refused, relay_transport: refused }
  }
  return {
    ...nowhereElse,
    relayhost: `[${relay.server}]:${relay.port}`,
    default_transport: 'smtp',
    relay_transport: 'relay',
    smtp_tls_wrappermode: 'yes',
    smtp_tls_security_level: 'secure',
    smtp_tls_CAfile: AUTHORITIES_PATH,
    smtp_tls_loglevel: '1',
    smtp_sasl_auth_enable: 'yes',
    // A text map is read as it stands: nothing to compile, and no map type that a later Debian leaves out.
    smtp_sasl_password_maps: `texthash:${SASL_PASSWORD_PATH}`,
    smtp_sasl_security_options: 'noanonymous',
    smtp_sasl_tls_security_options: 'noanonymous',
    smtp_sasl_mechanism_filter: 'plain',
    // The server takes no envelope sender but the account's. The empty one of reports stays (a static map would take it as well): a report with a
    // sender whose mailbox refuses it is reported to that mailbox, and so on without end.
    sender_canonical_classes: 'envelope_sender',
    sender_canonical_maps: `regexp:{{/@/ ${relay.sender}}}`,
  }
}

export const AUTHORITIES_PATH = '/etc/ssl/certs/ca-certificates.crt'

/** Settings by which a mail would go another way, or to others as well. `sender_canonical_maps` is set where the relay wants it. */
const MUST_BE_EMPTY = [
  'sender_dependent_relayhost_maps',
  'sender_dependent_default_transport_maps',
  'smtp_fallback_relay',
  'transport_maps',
  'virtual_alias_maps',
  'canonical_maps',
  'recipient_canonical_maps',
  'smtp_generic_maps',
  'always_bcc',
  'sender_bcc_maps',
  'recipient_bcc_maps',
  'luser_relay',
  // It would say for the relay, too, how well its certificate is checked.
  'smtp_tls_policy_maps',
] as const

/** By these mail may go elsewhere as well, or past what is read here. What is set there on purpose is not known to us; a person looks. */
const AS_SHIPPED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'fallback_transport',
      'fallback_transport_maps',
      'mailbox_transport',
      'mailbox_transport_maps',
      'mailbox_command',
      'mailbox_command_maps',
      'content_filter',
      'virtual_mailbox_maps',
      'header_checks',
      'body_checks',
      'smtp_header_checks',
      'smtp_body_checks',
      'smtpd_milters',
      'non_smtpd_milters',
      // A second Postfix with settings of its own.
      'multi_instance_directories',
      // The watch reads the journal.
      'maillog_file',
    ].map((name) => [name, '']),
  ),
  mime_header_checks: '$header_checks',
  nested_header_checks: '$header_checks',
  virtual_alias_domains: '$virtual_alias_maps',
  virtual_mailbox_domains: '$virtual_mailbox_maps',
  local_transport: 'local:$myhostname',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: written as Postfix writes it
  forward_path: '$home/.forward${recipient_delimiter}${extension}, $home/.forward',
  smtp_tls_secure_cert_match: 'nexthop, dot-nexthop',
}

/** Who is told of trouble with mail. */
const NOTICES = ['bounce_notice_recipient', '2bounce_notice_recipient', 'delay_notice_recipient', 'error_notice_recipient'] as const

/** `name = value` lines of `postconf`. */
export function settingsOf(output: string): Map<string, string> {
  return new Map(
    output
      .split('\n')
      .map((line) => /^(\S+) =\s?(.*)$/.exec(line))
      .flatMap((match) => (match === null ? [] : [[match[1] ?? '', (match[2] ?? '').trim()] as const])),
  )
}

/** A value that refers to another setting at its default (`virtual_alias_maps = $virtual_maps`) is empty as long as that one is not set. */
function settingOf(settings: Map<string, string>, name: string): string {
  const value = settings.get(name)
  if (value === undefined) throw new Unreadable(`postconf does not know ${name}`)
  return value === '$virtual_maps' || value === '$fallback_relay' ? '' : value
}

/** Pipes that Debian's Postfix brings along; no mail goes there unless another setting says so. */
const KNOWN_PIPES = ['maildrop', 'uucp', 'ifmail', 'bsmtp', 'scalemail-backend', 'mailman']

export function judgePostfix(seen: RelayObservation, context: RelayContext): Found[] {
  const settings = settingsOf(outputOf(seen, 'postconf'))
  const found: Found[] = []
  for (const [name, wanted] of Object.entries(wantedPostfix(context))) {
    const value = settingOf(settings, name)
    if (value !== wanted) found.push({ place: `postfix ${name}`, found: value || '(empty)', fix: `postconf -e '${name}=${wanted}'`, isPlanned: true })
  }
  for (const [name, shipped] of Object.entries(AS_SHIPPED)) {
    const value = settingOf(settings, name)
    if (value !== shipped && value !== '') found.push({ place: `postfix ${name}`, found: value, fix: `read what it does; postconf -X ${name}` })
  }
  for (const name of NOTICES) {
    const elsewhere = strangers(addressesIn(settingOf(settings, name)), context)
    if (elsewhere.length > 0) found.push({ place: `postfix ${name}`, found: elsewhere.join(', '), fix: `postconf -X ${name}` })
  }
  if (outputOf(seen, 'postfix status').trim() !== 'running')
    found.push({ place: 'postfix', found: 'it does not run: mail stays where it was written', fix: 'systemctl start postfix' })
  const maps = addressesIn(settingOf(settings, 'alias_maps')).filter(
    (map) => !/^(hash|lmdb|btree|cdb|dbm|sdbm|texthash):(\$\{?config_directory\}?|\/etc)\/aliases$/.test(map),
  )
  if (maps.length > 0) found.push({ place: 'postfix alias_maps', found: maps.join(', '), fix: "postconf -e 'alias_maps=hash:/etc/aliases'" })
  found.push(...judgeMaster(seen, context))
  if (context.host.mode === 'relay') found.push(...judgeLogin(seen))
  return found
}

/** Programs that master.cf hands mail to, and settings that it makes for one service alone, past what main.cf says. */
function judgeMaster(seen: RelayObservation, context: RelayContext): Found[] {
  const wanted: Readonly<Record<string, string>> = { ...AS_SHIPPED, ...wantedPostfix(context) }
  const services = outputOf(seen, 'master services')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([name = '', , , , , , , command]) => command === 'pipe' && !KNOWN_PIPES.includes(name))
    .map(([name, type, , , , , , ...command]) => ({
      place: `${MASTER_PATH}: ${name} ${type}`,
      found: command.join(' ').slice(0, 200),
      fix: `postconf -MX ${name}/${type}, or accept it under exceptions: in email-relay.yaml`,
    }))
  const settings = [...settingsOf(outputOf(seen, 'master settings'))].flatMap(([setting, value]) => {
    const may = wanted[setting.slice(setting.lastIndexOf('/') + 1)]
    return may === undefined || value === may || value === ''
      ? []
      : [{ place: `${MASTER_PATH}: ${setting}`, found: value, fix: `postconf -PX ${setting}; postfix reload` }]
  })
  return [...services, ...settings]
}

/** What logging in at the server needs on the host. */
function judgeLogin(seen: RelayObservation): Found[] {
  const secret = seen.answers.sasl_passwd
  if (secret?.kind !== 'secret') throw new Unreadable('the host did not answer "sasl_passwd"')
  if (secret.error !== null) throw new Unreadable(secret.error)
  const found: Found[] = []
  if (secret.state !== 'same') {
    const says = secret.state === 'absent' ? 'it is not there' : 'it does not hold the login of email-relay.yaml, or is not of mode 0600'
    found.push({ place: SASL_PASSWORD_PATH, found: says, fix: 'write the login into it, mode 0600', isPlanned: true })
  }
  const mechanisms = seen.answers['sasl mechanisms']
  if (mechanisms?.kind !== 'run' || mechanisms.out.trim() === '') {
    found.push({ place: 'package libsasl2-modules', found: 'it is missing: Postfix cannot log in', fix: 'apt install libsasl2-modules' })
  }
  if (linesOf(seen, 'authorities').length === 0) {
    found.push({ place: 'package ca-certificates', found: `${AUTHORITIES_PATH} is missing: no certificate can be checked`, fix: 'apt install ca-certificates' })
  }
  return found
}

/** The line of root's .forward; undefined when the host has no such program. */
export function wantedForward(seen: RelayObservation): string | undefined {
  const there = linesOf(seen, 'forward programs').map((file) => file.path)
  const program = FORWARD_PROGRAMS.find((path) => there.includes(path))
  return program === undefined ? undefined : `|${program}`
}

export function judgeForward(seen: RelayObservation, context: RelayContext): Found[] {
  const { text } = fileOf(seen, 'root .forward')
  const wanted = wantedForward(seen)
  const lines = (text ?? '')
    .split('\n')
    .map((line) => line.trim().replace(/^"(.*)"$/, '$1'))
    .filter((line) => line !== '' && !line.startsWith('#'))
  const found: Found[] = []
  if (wanted === undefined) {
    found.push({
      place: FORWARD_PATH,
      found: 'proxmox-mail-forward is not on the host: mail to root cannot reach the notification system',
      fix: 'apt install proxmox-mail-forward',
    })
  } else if (lines.length !== 1 || lines[0] !== wanted) {
    found.push({
      place: FORWARD_PATH,
      found: lines.length === 0 ? 'nothing forwards root’s mail' : lines.join(' and '),
      fix: `let it hold exactly ${wanted}`,
      isPlanned: true,
    })
  }
  for (const file of linesOf(seen, 'other .forward').filter(({ path }) => path !== FORWARD_PATH)) {
    const elsewhere = file.lines.flatMap(({ text: line }) =>
      line.includes('|') ? [line.trim()] : addressesIn(line).filter((address) => !isAllowed(address, context)),
    )
    if (elsewhere.length > 0) found.push({ place: file.path, found: elsewhere.join(', '), fix: `remove ${file.path}, or send it to root` })
  }
  return found
}

/**
 * Only `root` has to be without any address: aliases come before .forward, so one there goes past the notification system. Others may name who reads
 * root's mail. Pipes, files and includes are looked at by a person.
 */
export function judgeAliases(seen: RelayObservation, context: RelayContext): Found[] {
  const { text } = fileOf(seen, 'aliases')
  const inFile = new Map(aliasEntries(text ?? '').map(({ name, values }) => [name, values]))
  const compiled = new Map(compiledEntries(outputOf(seen, 'compiled aliases')).map(({ name, values }) => [name, values]))
  const found: Found[] = []
  for (const name of [...new Set([...inFile.keys(), ...compiled.keys()])].sort()) {
    const values = [...new Set([...(inFile.get(name) ?? []), ...(compiled.get(name) ?? [])])]
    const elsewhere = values.filter((value) => isElsewhere(name, value, context))
    const programs = values.filter((value) => /^(\||\/|:include:)/.test(value))
    const stale = inFile.get(name)?.some((value) => isElsewhere(name, value, context)) ? '' : ' (only in the compiled map)'
    if (elsewhere.length > 0) found.push({ place: `${ALIASES_PATH}: ${name}`, found: `${elsewhere.join(', ')}${stale}`, fix: aliasFix(name), isPlanned: true })
    if (programs.length > 0)
      found.push({ place: `${ALIASES_PATH}: ${name}`, found: programs.join(', '), fix: 'read where it sends; remove it, and run newaliases' })
  }
  return found
}

const aliasFix = (name: string) => (name === 'root' ? 'remove the address of root, and run newaliases' : `send ${name} to root, and run newaliases`)

/** An address where this name may have none. */
export function isElsewhere(name: string, value: string, context: RelayContext): boolean {
  if (/^(\||\/|:include:)/.test(value)) return false
  return name === 'root' ? !isLocal(value, context) : !isAllowed(value, context)
}

export interface QueuedMail {
  readonly id: string
  readonly queue: string
  readonly arrivedSeconds: number
  readonly sender: string
  readonly recipients: readonly string[]
  readonly reason: string
}

/** As postqueue shows an empty sender. */
export const NULL_SENDER = 'MAILER-DAEMON'

/** `postqueue -j`: one JSON object a line. @throws Unreadable */
export function queueOf(seen: RelayObservation): QueuedMail[] {
  return outputOf(seen, 'queue')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      try {
        const row = JSON.parse(line) as {
          queue_id: string
          queue_name: string
          arrival_time: number
          sender: string
          recipients?: { address: string; delay_reason?: string }[]
        }
        const recipients = row.recipients ?? []
        return {
          id: row.queue_id,
          queue: row.queue_name,
          arrivedSeconds: row.arrival_time,
          sender: row.sender,
          recipients: recipients.map(({ address }) => address),
          reason: recipients[0]?.delay_reason ?? '',
        }
      } catch {
        throw new Unreadable(`postqueue said what is not JSON: ${line.slice(0, 80)}`)
      }
    })
}

/** Mail that waits; what is on its way at this moment does not count. */
export function waitingMail(seen: RelayObservation): QueuedMail[] {
  return queueOf(seen).filter(({ queue }) => queue === 'deferred' || queue === 'hold')
}

export function judgeQueue(seen: RelayObservation, context: RelayContext): Found[] {
  const waiting = waitingMail(seen)
  const to = [...new Set(waiting.flatMap(({ recipients }) => recipients))]
  const said = `${waiting.length} ${waiting.length === 1 ? 'mail waits' : 'mails wait'} for ${to.slice(0, 5).join(', ')}${to.length > 5 ? ', …' : ''}: ${waiting[0]?.reason.slice(0, 160) ?? ''}`
  const fix = 'decide with old_queue: in email-relay.yaml and run emailRelay, or use postqueue -f, postsuper -d ID'
  return [...(waiting.length === 0 ? [] : [{ place: QUEUE, found: said, fix }]), ...judgeRefused(seen, context)]
}

export const QUEUE = 'queue'

/** What the relay refused for good is gone: the report of it has an empty sender, which a server that checks its senders refuses as well. */
function judgeRefused(seen: RelayObservation, { relay, host }: RelayContext): Found[] {
  if (host.mode === 'disable') return []
  const refused = deliveriesIn(outputOf(seen, 'refused')).filter(({ relay: by }) => by.toLowerCase().startsWith(`${relay.server.toLowerCase()}[`))
  // The report of a refusal is refused itself; it is the mail before it that somebody wrote.
  const last = refused.findLast(({ to }) => to !== relay.sender) ?? refused.at(-1)
  if (last === undefined) return []
  const count = refused.length === 1 ? 'a mail' : `${refused.length} mails`
  const found = `${count} refused for good within a day, and nobody on the host was told; the last for ${last.to}: ${last.said.slice(0, 200)}`
  return [{ place: 'queue: refused', found, fix: `find who sent it: journalctl SYSLOG_FACILITY=2 -g ${last.queueId}; it counts for a day` }]
}

/** Ours, and the same file on a system where /usr/sbin is /usr/bin. */
const POSTFIX_SENDMAIL = ['/usr/sbin/sendmail', '/usr/bin/sendmail', '/usr/lib/postfix/sbin/sendmail']

export function judgeOtherMailers(seen: RelayObservation): Found[] {
  const path = outputOf(seen, 'sendmail').trim()
  const own: Found[] = POSTFIX_SENDMAIL.includes(path)
    ? []
    : [{ place: '/usr/sbin/sendmail', found: path === '' ? 'it is not there' : `it is ${path}, not that of Postfix`, fix: 'apt install postfix' }]
  return [
    ...own,
    ...linesOf(seen, 'other mailers').map((file) => ({
      place: file.path,
      found: 'settings of another mail program, which goes past Postfix',
      fix: `remove ${file.path} and its package`,
    })),
    ...linesOf(seen, 'mail programs').flatMap((file) =>
      file.lines.map(({ line, text }) => ({
        place: `${file.path}: ${text.slice('says '.length)}`,
        found: `line ${line}: a mail program is told to send by itself, or to somebody else`,
        fix: `remove the line from ${file.path}, or accept it under exceptions: in email-relay.yaml`,
      })),
    ),
  ]
}
