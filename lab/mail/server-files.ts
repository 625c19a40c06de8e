/** The mail server of the lab: real Postfix and Dovecot in the place of Stalwart, with the peculiarities of a default Stalwart that alerting meets. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { packageRoot } from '../../src/temporal/package-root.js'
import type { UpperFiles } from '../upper-files.js'
import type { MailKeys } from './keys.js'
import { ACCOUNTS, MAIL_DOMAIN, MAIL_NAME, PERSONAL_DOMAIN, SMTPS_PORT, SUBMISSION_PORT, WEBHOOK_LOG, WEBHOOK_PORT } from './names.js'

const PROGRAMS = '/usr/share/nightshift-lab-mail'
const MAILBOXES = '/var/mail/lab'
/** Debian's user `mail`. */
const MAIL_UID = 8

/** Perl programs of this folder; compiled code runs from `dist/`, they stay where the sources are. */
function programText(name: string): string {
  return readFileSync(join(packageRoot(), 'lab', 'mail', name), 'utf8')
}

/** Everything the mail server has on its disk before its first boot. */
export function writeMailServer(files: UpperFiles, keys: MailKeys): void {
  files.write(`${PROGRAMS}/policy.pl`, programText('policy.pl'))
  files.write('/etc/nightshift-lab/mail.json', '{}\n')
  files.folder('/var/lib/nightshift-lab/mail', { uid: MAIL_UID, gid: MAIL_UID })
  files.write('/etc/ssl/private/mail.key', keys.key, { mode: 0o600 })
  files.write('/etc/ssl/certs/mail.crt', `${keys.certificate}${keys.authority}`)
  for (const account of ACCOUNTS) files.folder(join(MAILBOXES, dirname(mailboxOf(account))), { uid: MAIL_UID, gid: MAIL_UID })
  files.folder(MAILBOXES, { uid: MAIL_UID, gid: MAIL_UID })
  for (const domain of [MAIL_DOMAIN, PERSONAL_DOMAIN]) files.folder(join(MAILBOXES, domain), { uid: MAIL_UID, gid: MAIL_UID })

  files.write('/etc/postfix/main.cf', MAIN_CF)
  files.write('/etc/postfix/master.cf', `${files.read('/etc/postfix/master.cf')}${MASTER_CF}`)
  files.write('/etc/postfix/mailboxes', ACCOUNTS.map((account) => `${account} ${mailboxOf(account)}/\n`).join(''))
  files.write('/etc/dovecot/dovecot.conf', DOVECOT_CONF)
  const users = ACCOUNTS.map((account) => `${account}:{PLAIN}${keys.passwords[account]}\n`).join('')
  files.write('/etc/dovecot/users', users, { mode: 0o640, gid: groupId(files, 'dovecot') })
  for (const unit of ['postfix', 'dovecot']) files.link(`/etc/systemd/system/multi-user.target.wants/${unit}.service`, `/lib/systemd/system/${unit}.service`)
}

function groupId(files: UpperFiles, group: string): number {
  return Number(new RegExp(`^${group}:[^:]*:(\\d+):`, 'm').exec(files.read('/etc/group'))?.[1] ?? 0)
}

function mailboxOf(account: string): string {
  const [name = '', domain = ''] = account.split('@')
  return `${domain}/${name}/Maildir`
}

/** A program that takes every message out of every mailbox, and what the policy counted. */
export function emptyMailboxes(): string {
  return `find ${MAILBOXES} -type f \\( -path '*/new/*' -o -path '*/cur/*' \\) -delete; rm -f /var/lib/nightshift-lab/mail/*\n`
}

const MAIN_CF = `# nightshift lab: a stand-in for Stalwart, not the real thing.
compatibility_level = 3.6
myhostname = ${MAIL_NAME}
smtpd_banner = $myhostname ESMTP nightshift lab (stand-in for Stalwart)
mydestination =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
virtual_mailbox_domains = ${MAIL_DOMAIN}, ${PERSONAL_DOMAIN}
virtual_mailbox_maps = texthash:/etc/postfix/mailboxes
virtual_mailbox_base = ${MAILBOXES}
virtual_uid_maps = static:${MAIL_UID}
virtual_gid_maps = static:${MAIL_UID}
virtual_minimum_uid = ${MAIL_UID}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_cert_file = /etc/ssl/certs/mail.crt
smtpd_tls_key_file = /etc/ssl/private/mail.key
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_authenticated_header = yes
`

/** Port 25 takes mail for its own mailboxes from anybody and knows no accounts; 465 and 587 want one, and ask the policy. */
const submission = (name: string, tls: string) => `${name} inet n - n - - smtpd
  -o syslog_name=postfix/${name}
  ${tls}
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=check_policy_service,unix:private/labpolicy,permit_sasl_authenticated,reject
  -o smtpd_end_of_data_restrictions=check_policy_service,unix:private/labpolicy
`

const MASTER_CF = `${submission(String(SMTPS_PORT), '-o smtpd_tls_wrappermode=yes')}${submission(String(SUBMISSION_PORT), '-o smtpd_tls_security_level=encrypt')}labpolicy unix - n n - 0 spawn
  user=mail argv=/usr/bin/perl ${PROGRAMS}/policy.pl
`

const DOVECOT_CONF = `# nightshift lab: a stand-in for Stalwart, not the real thing.
protocols = imap
listen = *
login_greeting = nightshift lab (stand-in for Stalwart) ready.
ssl = required
ssl_cert = </etc/ssl/certs/mail.crt
ssl_key = </etc/ssl/private/mail.key
disable_plaintext_auth = yes
auth_mechanisms = plain login
mail_location = maildir:${MAILBOXES}/%d/%n/Maildir
first_valid_uid = ${MAIL_UID}
mail_uid = ${MAIL_UID}
mail_gid = ${MAIL_UID}
passdb {
  driver = passwd-file
  args = username_format=%u /etc/dovecot/users
}
userdb {
  driver = static
  args = uid=${MAIL_UID} gid=${MAIL_UID} home=${MAILBOXES}/%d/%n
}
namespace inbox {
  inbox = yes
  mailbox Junk {
    auto = create
    special_use = \\Junk
  }
}
service imap-login {
  inet_listener imap {
    port = 0
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
`

/** The receiver of the second channel. */
export function writeWebhookServer(files: UpperFiles): void {
  files.write(`${PROGRAMS}/webhook.pl`, programText('webhook.pl'))
  files.folder(dirname(WEBHOOK_LOG))
  files.write(
    '/etc/systemd/system/nightshift-lab-webhook.service',
    `[Unit]
Description=Receiver of the second alert channel (nightshift lab)
After=network.target

[Service]
ExecStart=/usr/bin/perl ${PROGRAMS}/webhook.pl ${WEBHOOK_PORT} ${WEBHOOK_LOG}
Restart=on-failure

[Install]
WantedBy=multi-user.target
`,
  )
  files.link('/etc/systemd/system/multi-user.target.wants/nightshift-lab-webhook.service', '/etc/systemd/system/nightshift-lab-webhook.service')
}
