/** Everything that is asked of a host in one reading, channel by channel. Files that may hold secrets are asked for single lines, masked, or for their names. */
import type { RelayServer } from '../email-relay-runbook.js'
import type { Question } from './observation.js'

/** Settings of Postfix that decide where a mail goes, from whom, and to whom else. */
export const POSTFIX_SETTINGS = [
  'relayhost',
  'default_transport',
  'relay_transport',
  'sender_dependent_relayhost_maps',
  'sender_dependent_default_transport_maps',
  'smtp_fallback_relay',
  'fallback_transport',
  'fallback_transport_maps',
  'mailbox_transport',
  'mailbox_transport_maps',
  'mailbox_command',
  'mailbox_command_maps',
  'content_filter',
  'local_transport',
  'mydestination',
  'myorigin',
  'inet_interfaces',
  'mynetworks',
  'alias_maps',
  'transport_maps',
  'virtual_alias_maps',
  'virtual_alias_domains',
  'virtual_mailbox_domains',
  'virtual_mailbox_maps',
  'canonical_maps',
  'recipient_canonical_maps',
  'sender_canonical_maps',
  'sender_canonical_classes',
  'smtp_generic_maps',
  'always_bcc',
  'sender_bcc_maps',
  'recipient_bcc_maps',
  'luser_relay',
  'forward_path',
  'header_checks',
  'mime_header_checks',
  'nested_header_checks',
  'body_checks',
  'smtp_header_checks',
  'smtp_body_checks',
  'smtpd_milters',
  'non_smtpd_milters',
  'bounce_notice_recipient',
  '2bounce_notice_recipient',
  'delay_notice_recipient',
  'error_notice_recipient',
  'multi_instance_directories',
  'maillog_file',
  'smtp_tls_policy_maps',
  'smtp_tls_secure_cert_match',
  'smtp_tls_wrappermode',
  'smtp_tls_security_level',
  'smtp_tls_CAfile',
  'smtp_tls_loglevel',
  'smtp_sasl_auth_enable',
  'smtp_sasl_password_maps',
  'smtp_sasl_security_options',
  'smtp_sasl_tls_security_options',
  'smtp_sasl_mechanism_filter',
] as const

export const SASL_PASSWORD_PATH = '/etc/postfix/sasl_passwd'
/** Where the setuid program that hands root's mail to the notification system lies, by version of its package, the newest first. */
export const FORWARD_PROGRAMS = ['/usr/libexec/proxmox-mail-forward', '/usr/bin/proxmox-mail-forward', '/usr/bin/pvemailforward'] as const

/** The line of `sasl_passwd`; the password goes where the reference stands. */
export function saslLine(relay: RelayServer, password: string): string {
  return `[${relay.server}]:${relay.port} ${relay.username}:${password}\n`
}

const pvesh = (name: string, path: string): Question => ({ name, kind: 'run', argv: ['pvesh', 'get', path, '--output-format', 'json'] })
const sh = (name: string, script: string): Question => ({ name, kind: 'run', argv: ['sh', '-c', script] })
const lines = (name: string, globs: readonly string[], pattern?: string): Question => ({
  name,
  kind: 'lines',
  globs,
  ...(pattern === undefined ? {} : { pattern }),
})
const captures = (name: string, globs: readonly string[], pattern: string, scripts = false): Question => ({
  ...{ name, kind: 'lines', globs, pattern, captures: true },
  ...(scripts ? { scripts } : {}),
})
const masked = (name: string, globs: readonly string[], pattern: string): Question => ({ name, kind: 'lines', globs, pattern, mask: true })
/** Only whether the files are there: a pattern that no line has. */
const there = (name: string, globs: readonly string[]): Question => ({ name, kind: 'lines', globs, pattern: '(?!)' })

/** A line that is neither empty nor a comment. */
const ACTIVE = '^\\s*[^\\s#]'

/** @param saslSha256 of what `sasl_passwd` should hold; it goes to the host over standard input and nowhere else */
export function questionsOf(saslSha256: string): Question[] {
  return [
    // Without root's eyes much would look as if it were not there.
    sh('uid', 'id -u'),
    pvesh('targets', '/cluster/notifications/targets'),
    ...['sendmail', 'smtp', 'gotify', 'webhook'].map((type) => pvesh(`endpoints ${type}`, `/cluster/notifications/endpoints/${type}`)),
    pvesh('matchers', '/cluster/notifications/matchers'),
    lines('notifications.cfg', ['/etc/pve/notifications.cfg'], '^[a-z]+: '),
    // The names of its sections and nothing else: it holds passwords.
    lines('priv/notifications.cfg', ['/etc/pve/priv/notifications.cfg'], '^[a-z]+: [A-Za-z0-9._-]+\\s*$'),
    pvesh('jobs', '/cluster/backup'),
    lines('vzdump.cron', ['/etc/pve/vzdump.cron'], ACTIVE),
    lines('vzdump.conf', ['/etc/vzdump.conf'], '^\\s*(mailto|mailnotification|notification-mode|script)\\s*[:=]'),
    lines('guest hookscripts', ['/etc/pve/nodes/*/qemu-server/*.conf', '/etc/pve/nodes/*/lxc/*.conf'], '^hookscript:'),
    pvesh('users', '/access/users'),
    pvesh('options', '/cluster/options'),
    { name: 'root .forward', kind: 'file', path: '/root/.forward' },
    lines('other .forward', ['~*/.forward', '~*/.forward+*', '/home/*/.forward'], ACTIVE),
    there('forward programs', FORWARD_PROGRAMS),
    { name: 'aliases', kind: 'file', path: '/etc/aliases' },
    // The compiled map is what counts.
    sh(
      'compiled aliases',
      'for m in $(postconf -hx alias_maps | tr "," " "); do case $m in hash:*|lmdb:*|btree:*|cdb:*|dbm:*|sdbm:*) postalias -s "$m" | sort ;; esac; done',
    ),
    sh('postconf', `postconf ${POSTFIX_SETTINGS.join(' ')}`),
    sh('postconf set', `postconf -n ${POSTFIX_SETTINGS.join(' ')}`),
    // A host without Postfix has a name too, and other ways of mail.
    sh('myhostname', 'postconf -h myhostname 2>/dev/null || hostname -f'),
    sh('postfix status', 'postfix status >/dev/null 2>&1 && echo running || echo stopped'),
    // Services, one a line, and what is set for one service alone (-o).
    sh('master services', 'postconf -M'),
    sh('master settings', 'postconf -P'),
    { name: 'sasl_passwd', kind: 'secret', path: SASL_PASSWORD_PATH, sha256: saslSha256, mode: '0600' },
    sh('sasl mechanisms', 'ls -d /usr/lib/*/sasl2/libplain.so* /usr/lib/sasl2/libplain.so* 2>/dev/null | head -1'),
    there('authorities', ['/etc/ssl/certs/ca-certificates.crt']),
    sh('queue', 'postqueue -j'),
    sh('refused', REFUSED),
    sh('sendmail', 'readlink -f /usr/sbin/sendmail'),
    there('other mailers', OTHER_MAILERS),
    captures(
      'mail programs',
      ['/etc/mail.rc', '/etc/s-nail.rc', '/etc/nail.rc', '~*/.mailrc', '/etc/mailutils.conf', '~*/.muttrc', '/etc/Muttrc.local'],
      MAIL_RC,
    ),
    captures('scripts', SCRIPTS, SENDS, true),
    lines('smartd.conf', ['/etc/smartd.conf'], ACTIVE),
    lines('smartd options', ['/etc/default/smartmontools'], '^\\s*smartd_opts\\s*=.*(-w|--warnexec|-c|--configfile)'),
    there('smartd scripts', ['/etc/smartmontools/run.d/*']),
    lines('zed.rc', ['/etc/zfs/zed.d/zed.rc'], '^\\s*(export\\s+)?ZED_EMAIL_(ADDR|PROG|OPTS)='),
    masked('zed tokens', ['/etc/zfs/zed.d/zed.rc'], '^\\s*ZED_(PUSHBULLET|SLACK|PUSHOVER|NTFY|GOTIFY)[A-Z_]*='),
    sh('zedlets', '[ ! -d /etc/zfs/zed.d ] || find /etc/zfs/zed.d -maxdepth 1 -type f ! -name zed.rc ! -name README'),
    lines('cron', ['/etc/crontab', '/etc/cron.d/*', '/var/spool/cron/crontabs/*'], '^\\s*MAIL(TO|FROM)\\s*='),
    captures('cron commands', ['/etc/crontab', '/etc/cron.d/*', '/var/spool/cron/crontabs/*', '/var/spool/cron/atjobs/*', '/etc/anacrontab'], CRON_SENDS),
    lines('anacrontab', ['/etc/anacrontab'], '^\\s*MAILTO\\s*='),
    lines('mdadm.conf', ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'], '^\\s*(?i:mailaddr|program)\\b'),
    // As apt itself understands its files: they may nest.
    sh('apt', 'apt-config dump | grep -i "^Unattended-Upgrade::\\(Mail\\|Sender\\) " || true'),
    lines('cron-apt', ['/etc/cron-apt/config', '/etc/cron-apt/config.d/*'], '^\\s*MAILTO='),
    lines('apticron', ['/etc/apticron/apticron.conf'], '^\\s*EMAIL='),
    lines('listchanges', ['/etc/apt/listchanges.conf', '/etc/apt/listchanges.conf.d/*'], '^\\s*email_address\\s*='),
    lines('debsecan', ['/etc/default/debsecan'], '^\\s*MAILTO='),
    there('needrestart', ['/etc/needrestart/notify.d/*']),
    lines('logwatch', ['/etc/logwatch/conf/logwatch.conf', '/etc/logwatch/conf/override.conf'], '^\\s*(?i:mailto)\\s*='),
    lines('logcheck', ['/etc/logcheck/logcheck.conf'], '^\\s*SENDMAILTO='),
    lines('rsyslog', ['/etc/rsyslog.conf', '/etc/rsyslog.d/*'], '^\\s*[^#]*(ommail|ActionMail)'),
    lines(
      'fail2ban',
      ['/etc/fail2ban/jail.conf', '/etc/fail2ban/jail.local', '/etc/fail2ban/jail.d/*'],
      '^\\s*[^#;\\s].*\\bdest(email)?\\s*=|^\\s*dest(email)?\\s*=',
    ),
    lines('chkrootkit', ['/etc/chkrootkit.conf', '/etc/chkrootkit/chkrootkit.conf'], '^\\s*MAILTO='),
    lines('rkhunter', ['/etc/rkhunter.conf', '/etc/rkhunter.conf.local'], '^\\s*MAIL-ON-WARNING\\s*='),
    lines('aide', ['/etc/default/aide', '/etc/aide/aide.conf'], '^\\s*MAILTO='),
    lines(
      'crowdsec',
      ['/etc/crowdsec/profiles.yaml', '/etc/crowdsec/profiles.yaml.local'],
      '^\\s*notifications\\s*:|^\\s*-\\s*(email|slack|http|splunk)_default',
    ),
    lines('upsmon', ['/etc/nut/upsmon.conf'], '^\\s*NOTIFYCMD\\b'),
    lines('upssched', ['/etc/nut/upssched.conf'], '^\\s*CMDSCRIPT\\b'),
    lines('apcupsd', ['/etc/apcupsd/*'], '^\\s*(export\\s+)?SYSADMIN='),
    lines('units', UNITS, UNIT_LINES),
    lines('sudoers', ['/etc/sudoers', '/etc/sudoers.d/*'], '^\\s*Defaults.*\\bmail(to|erpath|erflags)\\s*='),
    lines('monit', ['/etc/monit/monitrc', '/etc/monit/conf.d/*', '/etc/monit/conf-enabled/*'], '^\\s*set\\s+(alert|mailserver)\\b'),
    masked('netdata', ['/etc/netdata/health_alarm_notify.conf'], '^\\s*(DEFAULT_RECIPIENT_|[A-Z_]*(TOKEN|WEBHOOK|URL))[A-Z_]*='),
    lines('netdata recipients', ['/etc/netdata/health_alarm_notify.conf'], '^\\s*role_recipients_email\\['),
    lines('alertmanager', ['/etc/prometheus/alertmanager.yml', '/etc/alertmanager/*.yml'], '^\\s*-?\\s*(to|smtp_smarthost|[a-z]+_configs)\\s*:'),
    lines('pbs notifications.cfg', ['/etc/proxmox-backup/notifications.cfg'], '^([a-z]+: |\\s+(mailto|mailto-user|disable)\\s)'),
    lines('pbs users', ['/etc/proxmox-backup/user.cfg'], '^(user: |\\s+email\\s)'),
    lines('pbs datastores', ['/etc/proxmox-backup/datastore.cfg'], '^(datastore: |\\s+(notify-user|notification-mode)\\s)'),
  ]
}

const OTHER_MAILERS = [
  '/etc/msmtprc',
  '~*/.msmtprc',
  '~*/.config/msmtp/config',
  '/etc/esmtprc',
  '~*/.esmtprc',
  '~*/.swaksrc',
  '/etc/ssmtp/ssmtp.conf',
  '/etc/nullmailer/remotes',
  '/etc/exim4/update-exim4.conf.conf',
  '/etc/exim4/exim4.conf',
  '/etc/dma/dma.conf',
  '/etc/smtpd.conf',
  '/etc/opensmtpd/smtpd.conf',
  '/etc/mail/sendmail.cf',
] as const

/** What makes a mail program send by itself, or a name stand for an address. */
const MAIL_RC = '^\\s*(?<says>set\\s+(?:smtp|mta|sendmail)\\b|set\\s+[\\w-]+(?==.*smtps?://)|alias\\s+\\S+(?=\\s.*@)|mailer\\b(?=.*://))'

/** Where a person puts a program of their own. */
const SCRIPTS = [
  '/usr/local/bin/*',
  '/usr/local/sbin/*',
  '/etc/cron.hourly/*',
  '/etc/cron.daily/*',
  '/etc/cron.weekly/*',
  '/etc/cron.monthly/*',
  '/etc/rc.local',
  '~*/*.sh',
  '~*/*.py',
  '~*/*.pl',
  '~*/bin/*',
  '~*/.local/bin/*',
  '~*/scripts/*',
  '/opt/*.sh',
  '/opt/*/*.sh',
  '/opt/*/bin/*',
  '/opt/scripts/*',
  '/srv/scripts/*',
  '/etc/apcupsd/*',
  '/etc/nut/*',
] as const

/**
 * How a command sends: by a mail program of the host (to whom?), past it, or by a post. Only programs, addresses and the hosts of links come back: what
 * stands beside them may be a secret.
 */
const ADDRESS = '[\\w.+-]+@[\\w-]++(?:\\.[\\w-]++)++(?!:)'
const LINK = 'https?://(?:[^/@\\s"\']*@)?'
const MESSENGERS =
  '(?:[\\w-]+\\.)*(?:ntfy\\.sh|api\\.telegram\\.org|pushover\\.net|hooks\\.slack\\.com|discord(?:app)?\\.com|pushbullet\\.com|maker\\.ifttt\\.com|webhook\\.office\\.com)'
const sending = (assigned: string) =>
  [
    '(?:^|[\\s|;&(`"\'/])(?<mailer>mailx?|s-nail|bsd-mailx|sendmail|mutt)(?=[\\s"\'`;|<]|$)',
    '\\b(?<direct>msmtp|ssmtp|swaks|[sS]end[eE]mail|esmtp|smtplib|SMTP_SSL|Net::SMTP)\\b(?!\\s*=)',
    '\\bsmtps?://(?:[^/@\\s"\']*@)?(?<direct>[\\w.-]+)',
    '\\b(?<post>curl)\\b(?=.*(?:\\s(?:-[A-Za-z]*[dFT]\\b|--data|--form|--upload-file|--json|--mail-rcpt)|POST))',
    '\\b(?<post>wget)\\b(?=.*--(?:post-|method))',
    `${LINK}(?<messenger>${MESSENGERS})`,
    `${LINK}(?<link>[\\w.-]+)`,
    `\\b${assigned}=["']?(?<assigned>${ADDRESS})`,
    `\\b(?:To|Cc|Bcc):\\s*(?<assigned>${ADDRESS})`,
    `(?<address>${ADDRESS})`,
  ].join('|')

const SENDS = sending('\\w+')
/** `MAILTO` is cron's own, and looked at by itself. */
const CRON_SENDS = sending('(?!MAIL(?:TO|FROM)=)\\w+')

/** Mails that the server refused for good lately. Nobody is told of them: the server takes no report with an empty sender. */
const REFUSED = `set -e; log=$(journalctl --quiet --no-pager -o short-unix --since '-25 hours' SYSLOG_FACILITY=2)
printf '%s\\n' "$log" | grep ' status=bounced ' | tail -n 100 || true`

const UNITS = ['/etc/systemd/system', '/usr/local/lib/systemd/system', '/run/systemd/system', '/etc/systemd/user', '~*/.config/systemd/user'].flatMap(
  (folder) => [`${folder}/*.service`, `${folder}/*.timer`, `${folder}/*.path`, `${folder}/*.d/*.conf`],
)

/** What a unit of the operator's own needs to send something by itself. */
const UNIT_LINES = [
  '^\\s*On(Failure|Success)\\s*=\\s*\\S',
  '^\\s*Exec[A-Za-z]*=.*(sendmail|[sS]endEmail|[\\s/="\'|;&](mailx?|mutt)(\\s|$)|smtp\\b|swaks|ntfy|hooks\\.|api\\.telegram|pushover|gotify|smtps?://)',
  '^\\s*Exec[A-Za-z]*=.*(curl\\b.*(\\s-[A-Za-z]*[dFT]\\b|--data|--form|--json|--upload-file|POST)|wget\\b.*--(post-|method))',
].join('|')
