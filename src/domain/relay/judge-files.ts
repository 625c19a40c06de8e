/** The channels of other programs: each is a few lines of a few files, so they stand in one table. Pure. */
import type { RelayChannel } from '../email-relay-runbook.js'
import { addressesIn, type Found, type RelayContext, strangers } from './finding.js'
import { judgeCommands } from './judge-commands.js'
import { type FoundLine, linesOf, outputOf, type RelayObservation } from './observation.js'

interface LineRule {
  readonly channel: RelayChannel
  readonly question: string
  /** What its lines may say. `addresses`: who may be written to. `nothing`: no such line. `known`: only these values. `unset`: an empty value. */
  readonly may: 'addresses' | 'nothing' | 'unset' | readonly string[]
  /** Name and value of a line; a line without a value of this kind says nothing. */
  readonly line: RegExp
  readonly fix: (key: string, path: string) => string
}

/** `KEY=value`, `KEY value`, `Key "value";` */
const SETTING = /^\s*(?:-\s*)?(?:export\s+)?(?<key>[A-Za-z][A-Za-z0-9_:.-]*?)\s*(?:[:=]\s*|\s+)(?<value>.*?);?\s*$/
const toRoot = (key: string, path: string) => `set ${key} to root in ${path}`
const remove = (key: string, path: string) => `remove ${key} from ${path}, or accept it under exceptions: in email-relay.yaml`

const rule = (
  channel: RelayChannel,
  question: string,
  may: LineRule['may'],
  line: RegExp = SETTING,
  fix: LineRule['fix'] = may === 'addresses' ? toRoot : remove,
): LineRule => ({
  channel,
  question,
  may,
  line,
  fix,
})

const RULES: readonly LineRule[] = [
  rule('smartd', 'smartd.conf', 'addresses', /(?:^|\s)(?<key>-m)\s+(?<value>\S+)/),
  // The runner of Debian hands it to `mail`, the other is smartmontools' own; both write to the address of -m.
  rule(
    'smartd',
    'smartd.conf',
    ['/usr/share/smartmontools/smartd-runner', '/usr/share/smartmontools/smartd_warning.sh'],
    /(?:^|\s)(?<key>-M exec)\s+(?<value>\S+)/,
  ),
  // Another program that tells, or another file of settings.
  rule('smartd', 'smartd options', 'nothing'),
  rule('zed', 'zed.rc', 'addresses', /^\s*(?:export\s+)?(?<key>ZED_EMAIL_ADDR)=(?<value>.*)$/),
  rule('zed', 'zed.rc', ['', 'mail', 'sendmail', 'proxmox-zed-mail'], /^\s*(?:export\s+)?(?<key>ZED_EMAIL_PROG)=["']?(?<value>[^"'\s]*)/),
  rule('zed', 'zed.rc', 'addresses', /^\s*(?:export\s+)?(?<key>ZED_EMAIL_OPTS)=(?<value>.*)$/),
  rule('zed', 'zed tokens', 'unset'),
  rule('cron', 'cron', 'addresses'),
  rule('anacron', 'anacrontab', 'addresses'),
  rule('mdadm', 'mdadm.conf', 'addresses', /^\s*(?<key>(?:mailaddr))\s+(?<value>.*)$/i),
  rule('mdadm', 'mdadm.conf', 'nothing', /^\s*(?<key>(?:program))\s+(?<value>.*)$/i),
  rule('apt', 'cron-apt', 'addresses'),
  rule('apt', 'apticron', 'addresses'),
  rule('apt', 'listchanges', 'addresses'),
  rule('apt', 'debsecan', 'addresses'),
  rule('logs', 'logwatch', 'addresses'),
  rule('logs', 'logcheck', 'addresses'),
  rule('logs', 'rsyslog', 'nothing', /(?<key>ommail|ActionMail\w*)(?<value>.*)$/),
  rule('security', 'fail2ban', 'addresses', /(?<key>\bdest(?:email)?)\s*=\s*(?<value>"[^"]*"|'[^']*'|[^\s,\]]*(?:\s*,\s*[^\s,=\]]+@[^\s,=\]]+)*)/),
  rule('security', 'chkrootkit', 'addresses'),
  rule('security', 'rkhunter', 'addresses'),
  rule('security', 'aide', 'addresses'),
  rule('security', 'crowdsec', 'nothing', /^\s*-?\s*(?<key>notifications|\w+_default)(?<value>.*)$/),
  rule('ups', 'upsmon', ['/sbin/upssched', '/usr/sbin/upssched'], /^\s*(?<key>NOTIFYCMD)\s+"?(?<value>[^"\s]*)/),
  rule('ups', 'upssched', ['/bin/upssched-cmd', '/usr/bin/upssched-cmd'], /^\s*(?<key>CMDSCRIPT)\s+"?(?<value>[^"\s]*)/),
  rule('ups', 'apcupsd', 'addresses'),
  rule('systemd', 'units', 'nothing', /^\s*(?<key>On(?:Failure|Success)|Exec\w*)\s*=(?<value>.*)$/),
  rule('sudo', 'sudoers', 'addresses', /\b(?<key>mailto)\s*=\s*(?<value>"[^"]*"|[^\s,]+)/),
  rule('sudo', 'sudoers', ['/usr/sbin/sendmail'], /\b(?<key>mailerpath)\s*=\s*"?(?<value>[^\s",]+)/),
  rule('sudo', 'sudoers', ['-t'], /\b(?<key>mailerflags)\s*=\s*"?(?<value>[^",]+)/),
  rule('agents', 'monit', 'nothing', /^\s*(?<key>set\s+(?:alert|mailserver))\s+(?<value>.*)$/),
  rule('agents', 'netdata', 'unset'),
  rule('agents', 'netdata recipients', 'addresses', /^\s*(?<key>role_recipients_email\[[^\]]*\])=(?<value>.*)$/),
  rule('agents', 'alertmanager', 'nothing'),
]

/** What these folders hold when nobody has put anything there. */
const KNOWN_SCRIPTS: readonly { readonly channel: RelayChannel; readonly question: string; readonly names: readonly string[]; readonly what: string }[] = [
  { channel: 'smartd', question: 'smartd scripts', names: ['10mail', '10powersave-notify'], what: 'smartd runs it' },
  { channel: 'apt', question: 'needrestart', names: ['200-write', '400-notify-send', '600-mail', 'README.needrestart'], what: 'needrestart runs it' },
]

/** Findings of one of these channels. @throws Unreadable */
export function judgeFiles(channel: RelayChannel, seen: RelayObservation, context: RelayContext): Found[] {
  const rules = RULES.filter((each) => each.channel === channel)
  const scripts = KNOWN_SCRIPTS.filter((each) => each.channel === channel)
  return [
    ...rules.flatMap((each) => byRule(each, seen, context)),
    ...scripts.flatMap(({ question, names, what }) =>
      linesOf(seen, question)
        .map((file) => file.path)
        .filter((path) => !names.includes(path.slice(path.lastIndexOf('/') + 1)))
        .map((path) => ({
          place: path,
          found: `${what}, and what it sends is not known`,
          fix: `read it; remove it, or accept it under exceptions: in email-relay.yaml`,
        })),
    ),
    ...(channel === 'zed' ? zedlets(seen) : []),
    ...(channel === 'apt' ? unattendedUpgrades(seen, context) : []),
    ...(channel === 'cron' ? judgeCommands('cron commands', seen, context) : []),
  ]
}

function byRule(each: LineRule, seen: RelayObservation, context: RelayContext): Found[] {
  const files = linesOf(seen, each.question).filter(({ path }) => !context.ownFiles.includes(path))
  return files.flatMap((file) =>
    file.lines.flatMap((line) =>
      partsOf(line, each.line).flatMap(({ key, value }): Found[] => {
        const bad = wrongIn(each.may, value, context)
        return bad === '' ? [] : [{ place: `${file.path}: ${key}`, found: `line ${line.line}: ${bad}`, fix: each.fix(key, file.path) }]
      }),
    ),
  )
}

function partsOf({ text }: FoundLine, pattern: RegExp): { key: string; value: string }[] {
  return [...text.matchAll(new RegExp(pattern, `g${pattern.flags}`))].map(({ groups: { key = '', value = '' } = {} }) => ({
    key: key.replace(/\s+/g, ' '),
    value: value.trim(),
  }))
}

/** What of a value may not be; empty when all of it may. */
function wrongIn(may: LineRule['may'], value: string, context: RelayContext): string {
  // ZED puts in what stands between two @.
  if (may === 'addresses') return strangers(addressesIn(value.replace(/@[A-Z]+@/g, ' ')), context).join(', ')
  if (may === 'nothing') return value.replace(/^["')\s]+$/, '') || 'it is set'
  if (may === 'unset') return value.replace(/["']/g, '') === '' ? '' : 'it is set'
  return may.includes(value) ? '' : value
}

/** Links lead to the scripts of the package; a plain file is somebody's own. */
function zedlets(seen: RelayObservation): Found[] {
  return outputOf(seen, 'zedlets')
    .split('\n')
    .filter((path) => path !== '')
    .map((path) => ({
      place: path,
      found: 'ZED runs it, and what it sends is not known',
      fix: `read it; remove it, or accept it under exceptions: in email-relay.yaml`,
    }))
}

/** `Unattended-Upgrade::Mail "root";`, as apt-config prints what it read from all of its files. */
function unattendedUpgrades(seen: RelayObservation, context: RelayContext): Found[] {
  return outputOf(seen, 'apt')
    .split('\n')
    .flatMap((line) => {
      const [, key = '', value = ''] = /^(\S+) "(.*)";$/.exec(line) ?? []
      const to = strangers(addressesIn(value), context).join(', ')
      return to === '' ? [] : [{ place: `apt: ${key}`, found: to, fix: `set ${key} to root: grep -r ${key.split('::').at(-1)} /etc/apt/apt.conf.d` }]
    })
}

/** A Backup Server on the same host has notifications of its own. */
export function judgePbs(seen: RelayObservation, context: RelayContext): Found[] {
  return ['pbs notifications.cfg', 'pbs users', 'pbs datastores'].flatMap((question) =>
    linesOf(seen, question).flatMap((file) =>
      sectionsOf(file.lines)
        .filter(({ settings }) => !settings.some(({ key, value }) => key === 'disable' && /^(true|1|yes|on)$/i.test(value)))
        .flatMap(({ type, name, settings }): Found[] => [
          ...(['smtp', 'gotify', 'webhook'].includes(type)
            ? [{ place: `${file.path}: ${name}`, found: `a target of type ${type}, past Postfix`, fix: remove(name, file.path) }]
            : []),
          ...settings.flatMap(({ key, value }): Found[] => {
            const wrong = key === 'notification-mode' ? (value === 'legacy-sendmail' ? value : '') : strangersOf(key, value, context)
            return wrong === '' ? [] : [{ place: `${file.path}: ${name} ${key}`, found: wrong, fix: `change ${key} of ${name} in the Backup Server` }]
          }),
        ]),
    ),
  )
}

const strangersOf = (key: string, value: string, context: RelayContext) =>
  ['mailto', 'email'].includes(key) ? strangers(addressesIn(value), context).join(', ') : ''

interface Section {
  readonly type: string
  readonly name: string
  readonly settings: { readonly key: string; readonly value: string }[]
}

/** `type: name`, and below it indented `key value`. */
function sectionsOf(lines: readonly FoundLine[]): Section[] {
  const sections: Section[] = []
  for (const { text } of lines) {
    const [, type = '', name = ''] = /^([a-z]+): (\S+)/.exec(text) ?? []
    const [, key = '', value = ''] = /^\s+(\S+)\s+(.*?)\s*$/.exec(text) ?? []
    if (type !== '') sections.push({ type, name, settings: [] })
    else if (key !== '') sections.at(-1)?.settings.push({ key, value })
  }
  return sections
}
