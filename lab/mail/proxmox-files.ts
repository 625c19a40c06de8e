/** Postfix on a Proxmox host as the installer leaves it: mail goes straight to the recipient's own server, whoever that is. */
import { type HostSpec, PVE_PROGRAMS } from '../catalog.js'
import type { UpperFiles } from '../upper-files.js'
import type { MailKeys } from './keys.js'
import { fqdnOf } from './names.js'

/**
 * main.cf is the installer's, untouched by the lab, because a runbook edits it. That there is no DNS in a lab stands in master.cf: names come from /etc/hosts.
 */
export function writeProxmoxMail(files: UpperFiles, spec: HostSpec, keys: MailKeys): void {
  // As an estate with an authority of its own has it in the system's store.
  const store = '/etc/ssl/certs/ca-certificates.crt'
  files.write(store, `${files.read(store)}${keys.authority}`)
  files.write('/etc/postfix/main.cf', installersMainCf(spec))
  const noDns = '\n  -o smtp_dns_support_level=disabled\n  -o smtp_host_lookup=native'
  const master = files.read('/etc/postfix/master.cf').replace(/^((smtp|relay) +unix .*)$/gm, `$1${noDns}`)
  files.write('/etc/postfix/master.cf', master)
  files.write('/etc/aliases', ALIASES)
  // A Perl program cannot be setuid, as the real one is.
  files.write('/etc/sudoers.d/proxmox-mail-forward', `ALL ALL=(root) NOPASSWD: ${FORWARD_AS_ROOT} ""\n`, { mode: 0o440 })
  files.write(FORWARD_PROGRAM, `#!/bin/sh\nexec sudo -n ${FORWARD_AS_ROOT}\n`, { mode: 0o755 })
  files.write('/root/.forward', `|${FORWARD_PROGRAM}\n`)
  files.write('/etc/systemd/system/postfix@-.service.d/lab.conf', '[Service]\nExecStartPre=/usr/bin/newaliases\n')
  files.link('/etc/systemd/system/multi-user.target.wants/postfix.service', '/lib/systemd/system/postfix.service')
}

export const FORWARD_PROGRAM = '/usr/libexec/proxmox-mail-forward'
const FORWARD_AS_ROOT = PVE_PROGRAMS['proxmox-mail-forward'] ?? ''
export const ALIASES = '# See man 5 aliases for format\npostmaster:    root\n'

export function installersMainCf(spec: HostSpec): string {
  return `myhostname=${fqdnOf(spec.hostname, spec.name)}

smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, localhost.$mydomain, localhost
relayhost =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
recipient_delimiter = +
compatibility_level = 3.6
`
}
