/** How the Proxmox hosts of a lab send their mail in each of the two named states. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EstateState } from '../estate/estate-plan.js'
import type { LabHost } from '../host.js'
import type { Lab } from '../lab.js'
import { ACCOUNTS, MAIL_HOST, MAIL_NAME, SMTPS_PORT } from './names.js'
import { ALIASES, FORWARD_PROGRAM, installersMainCf } from './proxmox-files.js'
import { emptyMailboxes } from './server-files.js'

const [ALERTS, RONNY, PERSONAL] = ACCOUNTS

/**
 * `healthy`: everything goes through the mail server. `as-found`: straight to a personal inbox, from pve because root@pam has that address, from proxmox-home because
 * /etc/aliases sends root there. Queues and mailboxes are emptied.
 */
export async function putMailState(lab: Lab, state: EstateState): Promise<void> {
  const password = readFileSync(join(lab.paths.config, 'secrets', ALERTS), 'utf8').trim()
  const hosts = [...lab.hosts.values()].filter((host) => host.kind === 'proxmox')
  await Promise.all(hosts.map((host) => putHost(host, state, password)))
  if (lab.hosts.has(MAIL_HOST)) await lab.host(MAIL_HOST).exec(['sh', '-s'], { stdin: emptyMailboxes() })
}

async function putHost(host: LabHost, state: EstateState, password: string): Promise<void> {
  const isHealthy = state === 'healthy'
  const { spec } = host.place
  const files = {
    '/etc/postfix/main.cf': isHealthy ? installersMainCf(spec).replace('relayhost =\n', RELAYED) : installersMainCf(spec),
    '/etc/aliases': isHealthy || host.name === 'pve' ? ALIASES : `${ALIASES}root: ${PERSONAL}\n`,
    '/root/.forward': `|${FORWARD_PROGRAM}\n`,
    '/etc/pve/user.cfg': `user:root@pam:1:0:::${!isHealthy && host.name === 'pve' ? PERSONAL : RONNY}::\n\n\n\n\n`,
    ...(isHealthy ? { '/etc/pve/notifications.cfg': NOTIFICATIONS } : {}),
  }
  const write = Object.entries(files).map(([path, content]) => `cat > ${path} <<'END-OF-FILE'\n${content}END-OF-FILE\n`)
  const login = isHealthy ? `umask 077\nprintf '%s\\n' '[${MAIL_NAME}]:${SMTPS_PORT} ${ALERTS}:${password}' > /etc/postfix/sasl_passwd\n` : ''
  await host.exec(['sh', '-s'], {
    stdin: `set -e\n${WITHOUT_WATCHER}rm -f /etc/pve/notifications.cfg /etc/pve/priv/notifications.cfg /etc/postfix/sasl_passwd*\n${write.join('')}${login}newaliases\npostfix reload 2>/dev/null || true\npostsuper -d ALL 2>/dev/null || true\n`,
  })
}

/** No state has a watcher of nightshift in place. */
const WITHOUT_WATCHER = `for timer in /etc/systemd/system/nightshift-watcher-*.timer; do [ ! -e "$timer" ] || systemctl disable --now "\${timer##*/}"; done
rm -rf /etc/systemd/system/nightshift-watcher-* /usr/local/sbin/nightshift-watcher-* /var/lib/nightshift-watcher-*
`

const RELAYED = `# Through the mail server, as email-relay.yaml wants it.
relayhost = [${MAIL_NAME}]:${SMTPS_PORT}
smtp_tls_wrappermode = yes
smtp_tls_security_level = secure
smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
smtp_tls_loglevel = 1
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:/etc/postfix/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_sasl_tls_security_options = noanonymous
smtp_sasl_mechanism_filter = plain
sender_canonical_classes = envelope_sender
sender_canonical_maps = regexp:{{/@/ ${ALERTS}}}
`

const NOTIFICATIONS = `sendmail: mail-to-root
\tcomment Send mails to root@pam's email address
\tfrom-address ${ALERTS}
\tmailto ${RONNY}

matcher: default-matcher
\tcomment Route all notifications to mail-to-root
\tmode all
\ttarget mail-to-root

`
