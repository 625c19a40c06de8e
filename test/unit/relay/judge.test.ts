/** Every way by which a host can mail, judged from files as they really look. */
import { describe, expect, test } from 'vitest'
import { sha256Hex } from '../../../src/domain/canonical.js'
import { judgeRelay, relayGateOf } from '../../../src/domain/relay/judge.js'
import type { RelayObservation } from '../../../src/domain/relay/observation.js'
import { type WatcherOrder, watcherFiles } from '../../../src/domain/relay/watcher.js'
import { AS_FOUND, HEALTHY, HOME, RUNBOOK, TODAY, withAnswer, withLines, withOutput, withRows } from './world.js'

const findingsOf = (seen: RelayObservation) =>
  judgeRelay(seen, RUNBOOK, HOME, TODAY).flatMap(({ findings }) => findings.map(({ channel, place, found }) => `${channel} | ${place} | ${found}`))
const unreadOf = (seen: RelayObservation) => judgeRelay(seen, RUNBOOK, HOME, TODAY).flatMap(({ channel, state }) => (state === 'unknown' ? [channel] : []))
const gate = (seen: RelayObservation, runbook = RUNBOOK, today = TODAY) => relayGateOf(HOME, judgeRelay(seen, runbook, HOME, today))

test('a host whose every way leads through the relay passes, and what cannot be seen on a host is said', () => {
  expect(findingsOf(HEALTHY)).toEqual([])
  expect(gate(HEALTHY)).toEqual({
    id: 'mail-route/proxmox-home',
    state: 'passed',
    reason: 'ok',
    message: 'proxmox-home: every way of mail leads through the relay',
    next: null,
  })
  expect(judgeRelay(HEALTHY, RUNBOOK, HOME, TODAY).find(({ state }) => state === 'note')?.message).toContain('ACME')
})

test('the host as it was found fails with the place, and with the runbook as the way out', () => {
  expect(findingsOf(AS_FOUND)).toEqual(
    expect.arrayContaining([
      'aliases | /etc/aliases: root | ronny@personal.example',
      'targets | target mail-to-root | to ronny@spine.ronny.works, from root instead of alerts@spine.ronny.works',
      'postfix | postfix relayhost | (empty)',
      'postfix | /etc/postfix/sasl_passwd | it is not there',
    ]),
  )
  expect(gate(AS_FOUND)).toMatchObject({ state: 'failed', next: `nightshift run emailRelay '{"host":"proxmox-home"}'` })
})

const PERSONAL = 'ronny@gmail.example'
const SAID = 'host mail.spine.ronny.works[10.213.165.21] said: 501 5.5.4 You are not allowed to send from this address. (in reply to RCPT TO command)'
const BOUNCED = `1795288145.101 pve postfix/smtp[211]: 4BFA49F0165: to=<${PERSONAL}>, relay=mail.spine.ronny.works[10.213.165.21]:465, delay=0.3, delays=0/0/0.3/0, dsn=5.5.4, status=bounced (${SAID})\n`
const CASES: readonly [title: string, seen: () => RelayObservation, expected: string][] = [
  [
    'a webhook target',
    () => withRows('endpoints webhook', (rows) => [...rows, { name: 'phone', url: 'https://ntfy.sh/mine' }]),
    'targets | target phone | a target of type webhook, past Postfix: https://ntfy.sh/mine',
  ],
  [
    'an SMTP target',
    () => withRows('endpoints smtp', () => [{ name: 'gmail', server: 'smtp.gmail.com', mailto: [PERSONAL] }]),
    `targets | target gmail | a target of type smtp, past Postfix: smtp.gmail.com for ${PERSONAL}`,
  ],
  [
    'a second sendmail target elsewhere',
    () => withRows('endpoints sendmail', (rows) => [...rows, { name: 'me', mailto: [PERSONAL] }]),
    `targets | target me | a sendmail target to ${PERSONAL}`,
  ],
  [
    'a matcher that takes only errors',
    () => withRows('matchers', ([row]) => [{ ...row, 'match-severity': ['error'] }]),
    'matchers | matcher default-matcher | to mail-to-root, match-severity',
  ],
  [
    'a section written by hand that the API does not know',
    () => withLines('notifications.cfg', '/etc/pve/notifications.cfg', 'sendmail: ghost'),
    'notification-files | /etc/pve/notifications.cfg: ghost | the API does not know this section',
  ],
  [
    'a job that mails by itself',
    () => withRows('jobs', (rows) => rows.map((job) => (job.id === 'backup-home-p0-daily' ? { ...job, mailto: PERSONAL } : job))),
    `jobs | job backup-home-p0-daily: mailto | ${PERSONAL}`,
  ],
  [
    'a job that tells nobody',
    () => withRows('jobs', (rows) => rows.map((job) => (job.id === 'backup-home-p0-daily' ? { ...job, 'notification-mode': 'legacy-sendmail' } : job))),
    'jobs | job backup-home-p0-daily: notification-mode | legacy-sendmail without mailto: nobody is told',
  ],
  [
    'a line of the old vzdump.cron',
    () => withLines('vzdump.cron', '/etc/pve/vzdump.cron', `PATH="/usr/sbin"\n0 2 * * *  root vzdump 100 --quiet 1 --mailto ${PERSONAL}`),
    `vzdump-cron | /etc/pve/vzdump.cron: ${PERSONAL} | line 2: 0 2 * * *  root vzdump 100 --quiet 1 --mailto ${PERSONAL}`,
  ],
  [
    'an address in vzdump.conf',
    () => withLines('vzdump.conf', '/etc/vzdump.conf', `mailto: ${PERSONAL}`),
    `vzdump-defaults | /etc/vzdump.conf: mailto | ${PERSONAL}`,
  ],
  [
    'a hook script of a guest',
    () => withLines('guest hookscripts', '/etc/pve/nodes/pve/qemu-server/100.conf', 'hookscript: local:snippets/notify.pl'),
    'hook-scripts | /etc/pve/nodes/pve/qemu-server/100.conf: hookscript | hookscript: local:snippets/notify.pl',
  ],
  [
    'a user with an address elsewhere',
    () => withRows('users', (rows) => rows.map((user) => ({ ...user, email: PERSONAL }))),
    `users | user root@pam: email | ${PERSONAL}`,
  ],
  ['a sender of the datacenter', () => withRows('options', () => ({ email_from: PERSONAL })), `datacenter | datacenter: email_from | ${PERSONAL}`],
  [
    'a second line in .forward',
    () =>
      withAnswer('root .forward', {
        kind: 'file',
        text: '|/usr/libexec/proxmox-mail-forward\n|/usr/bin/proxmox-mail-forward\n',
        sha256: 'x',
        mode: '0644',
        error: null,
      }),
    'forward | /root/.forward | |/usr/libexec/proxmox-mail-forward and |/usr/bin/proxmox-mail-forward',
  ],
  ['a .forward of a user', () => withLines('other .forward', '/home/ronny/.forward', `\\ronny, ${PERSONAL}`), `forward | /home/ronny/.forward | ${PERSONAL}`],
  [
    'an alias that only the compiled map has',
    () => withOutput('compiled aliases', (out) => `${out}root:\t${PERSONAL}\n`),
    `aliases | /etc/aliases: root | ${PERSONAL} (only in the compiled map)`,
  ],
  [
    'an alias to a program',
    () => withAnswer('aliases', { kind: 'file', text: 'postmaster: root\nops: "|/usr/local/bin/tell"\n', sha256: 'x', mode: '0644', error: null }),
    'aliases | /etc/aliases: ops | |/usr/local/bin/tell',
  ],
  [
    'blind copies',
    () => withOutput('postconf', (out) => out.replace(/^always_bcc =.*$/m, `always_bcc = ${PERSONAL}`)),
    `postfix | postfix always_bcc | ${PERSONAL}`,
  ],
  [
    'a server whose certificate is not checked',
    () => withOutput('postconf', (out) => out.replace(/^smtp_tls_security_level =.*$/m, 'smtp_tls_security_level = encrypt')),
    'postfix | postfix smtp_tls_security_level | encrypt',
  ],
  [
    'another login',
    () => withAnswer('sasl_passwd', { kind: 'secret', state: 'other', identity: '1 2 3 600', error: null }),
    'postfix | /etc/postfix/sasl_passwd | it does not hold the login of email-relay.yaml, or is not of mode 0600',
  ],
  [
    'a pipe in master.cf',
    () => withOutput('master services', (out) => `${out}telegram unix - n n - - pipe flags=F user=nobody argv=/usr/local/bin/telegram\n`),
    'postfix | /etc/postfix/master.cf: telegram unix | pipe flags=F user=nobody argv=/usr/local/bin/telegram',
  ],
  [
    'a service of master.cf that goes another way than main.cf says',
    () => withOutput('master settings', (out) => `${out}smtp/unix/relayhost = [smtp.gmail.com]:25\nsmtp/unix/smtp_fallback_relay = \n`),
    'postfix | /etc/postfix/master.cf: smtp/unix/relayhost | [smtp.gmail.com]:25',
  ],
  [
    'a filter that all mail is handed to',
    () => withOutput('postconf', (out) => out.replace(/^content_filter =.*$/m, 'content_filter = scan:')),
    'postfix | postfix content_filter | scan:',
  ],
  [
    'another .forward than those of the homes',
    () => withOutput('postconf', (out) => out.replace(/^forward_path =.*$/m, 'forward_path = /etc/forward/$user')),
    'postfix | postfix forward_path | /etc/forward/$user',
  ],
  [
    'notices of trouble to somebody elsewhere',
    () => withOutput('postconf', (out) => out.replace(/^2bounce_notice_recipient =.*$/m, `2bounce_notice_recipient = ${PERSONAL}`)),
    `postfix | postfix 2bounce_notice_recipient | ${PERSONAL}`,
  ],
  [
    'a certificate that is not checked at the relay alone',
    () => withOutput('postconf', (out) => out.replace(/^smtp_tls_policy_maps =.*$/m, 'smtp_tls_policy_maps = inline:{[mail.spine.ronny.works]:465=may}')),
    'postfix | postfix smtp_tls_policy_maps | inline:{[mail.spine.ronny.works]:465=may}',
  ],
  [
    'a Postfix that does not run',
    () => withOutput('postfix status', () => 'stopped\n'),
    'postfix | postfix | it does not run: mail stays where it was written',
  ],
  [
    'a mail that the relay refused for good, and of which nobody was told',
    // As the lab's server refused a report with an empty sender.
    () => withOutput('refused', () => BOUNCED),
    `queue | queue: refused | a mail refused for good within a day, and nobody on the host was told; the last for ${PERSONAL}: ${SAID}`,
  ],
  [
    'a target of a kind that came later',
    () => withRows('targets', (rows) => [...rows, { name: 'pager', type: 'matrix' }]),
    'targets | target pager | a target of type matrix, which is not known here',
  ],
  [
    'an SMTP target for a user, and a name beside',
    () => withRows('endpoints smtp', () => [{ name: 'gmail', server: 'smtp.gmail.com', mailto: PERSONAL, 'mailto-user': 'root@pam', comment: 'to: root' }]),
    `targets | target gmail | a target of type smtp, past Postfix: smtp.gmail.com for ${PERSONAL}, ronny@spine.ronny.works`,
  ],
  [
    'the built-in target switched off',
    () => withRows('endpoints sendmail', ([row]) => [{ ...row, disable: '1' }]),
    'targets | target mail-to-root | to ronny@spine.ronny.works, from alerts@spine.ronny.works, disabled',
  ],
  [
    'the built-in target with a user beside the address',
    () => withRows('endpoints sendmail', ([row]) => [{ ...row, 'mailto-user': ['root@pam'] }]),
    'targets | target mail-to-root | to ronny@spine.ronny.works, ronny@spine.ronny.works instead of ronny@spine.ronny.works, from alerts@spine.ronny.works',
  ],
  ['a matcher without a target', () => withRows('matchers', ([row]) => [{ ...row, target: undefined }]), 'matchers | matcher default-matcher | to nobody'],
  [
    'mail that waits',
    () =>
      withOutput(
        'queue',
        () =>
          `{"queue_name": "deferred", "queue_id": "A1", "arrival_time": 1795238335, "message_size": 276, "forced_expire": false, "sender": "root@pve", "recipients": [{"address": "${PERSONAL}", "delay_reason": "connect to mx: timed out"}]}\n`,
      ),
    `queue | queue | 1 mail waits for ${PERSONAL}: connect to mx: timed out`,
  ],
  [
    'another mail program',
    () => withOutput('sendmail', () => '/usr/bin/msmtp\n'),
    'other-mta | /usr/sbin/sendmail | it is /usr/bin/msmtp, not that of Postfix',
  ],
  [
    'settings of another mail program',
    () => withLines('other mailers', '/etc/msmtprc', ''),
    'other-mta | /etc/msmtprc | settings of another mail program, which goes past Postfix',
  ],
  [
    'smartd',
    () => withLines('smartd.conf', '/etc/smartd.conf', `DEVICESCAN -d removable -n standby -m ${PERSONAL} -M exec /usr/share/smartmontools/smartd-runner`),
    `smartd | /etc/smartd.conf: -m | line 1: ${PERSONAL}`,
  ],
  [
    'a script of smartd',
    () => withLines('smartd scripts', '/etc/smartmontools/run.d/20telegram', ''),
    'smartd | /etc/smartmontools/run.d/20telegram | smartd runs it, and what it sends is not known',
  ],
  [
    'ZED',
    () => withLines('zed.rc', '/etc/zfs/zed.d/zed.rc', `ZED_EMAIL_ADDR="root ${PERSONAL}"`),
    `zed | /etc/zfs/zed.d/zed.rc: ZED_EMAIL_ADDR | line 1: ${PERSONAL}`,
  ],
  [
    'a token of ZED',
    () => withLines('zed tokens', '/etc/zfs/zed.d/zed.rc', 'ZED_NTFY_TOPIC="***'),
    'zed | /etc/zfs/zed.d/zed.rc: ZED_NTFY_TOPIC | line 1: it is set',
  ],
  ['cron', () => withLines('cron', '/etc/cron.d/backup', `MAILTO=root,${PERSONAL}`), `cron | /etc/cron.d/backup: MAILTO | line 1: ${PERSONAL}`],
  ['anacron', () => withLines('anacrontab', '/etc/anacrontab', `MAILTO=${PERSONAL}`), `anacron | /etc/anacrontab: MAILTO | line 1: ${PERSONAL}`],
  ['mdadm', () => withLines('mdadm.conf', '/etc/mdadm/mdadm.conf', `MAILADDR ${PERSONAL}`), `mdadm | /etc/mdadm/mdadm.conf: MAILADDR | line 1: ${PERSONAL}`],
  [
    'a program of mdadm',
    () => withLines('mdadm.conf', '/etc/mdadm/mdadm.conf', 'PROGRAM /usr/local/bin/raid-alarm'),
    'mdadm | /etc/mdadm/mdadm.conf: PROGRAM | line 1: /usr/local/bin/raid-alarm',
  ],
  ['unattended upgrades', () => withOutput('apt', () => `Unattended-Upgrade::Mail "${PERSONAL}";\n`), `apt | apt: Unattended-Upgrade::Mail | ${PERSONAL}`],
  [
    'logwatch',
    () => withLines('logwatch', '/etc/logwatch/conf/logwatch.conf', `MailTo = ${PERSONAL}`),
    `logs | /etc/logwatch/conf/logwatch.conf: MailTo | line 1: ${PERSONAL}`,
  ],
  ['rsyslog', () => withLines('rsyslog', '/etc/rsyslog.d/mail.conf', 'module(load="ommail")'), 'logs | /etc/rsyslog.d/mail.conf: ommail | line 1: it is set'],
  [
    'fail2ban',
    () => withLines('fail2ban', '/etc/fail2ban/jail.local', `destemail = ${PERSONAL}`),
    `security | /etc/fail2ban/jail.local: destemail | line 1: ${PERSONAL}`,
  ],
  [
    'nut',
    () => withLines('upsmon', '/etc/nut/upsmon.conf', 'NOTIFYCMD "/usr/local/bin/ups-mail"'),
    'ups | /etc/nut/upsmon.conf: NOTIFYCMD | line 1: /usr/local/bin/ups-mail',
  ],
  [
    'a unit that sends by itself',
    () => withLines('units', '/etc/systemd/system/tell.service', 'ExecStart=/usr/bin/curl -d failed https://ntfy.sh/mine'),
    'systemd | /etc/systemd/system/tell.service: ExecStart | line 1: /usr/bin/curl -d failed https://ntfy.sh/mine',
  ],
  ['sudo', () => withLines('sudoers', '/etc/sudoers.d/mail', `Defaults mailto="${PERSONAL}"`), `sudo | /etc/sudoers.d/mail: mailto | line 1: ${PERSONAL}`],
  ['monit', () => withLines('monit', '/etc/monit/monitrc', `set alert ${PERSONAL}`), `agents | /etc/monit/monitrc: set alert | line 1: ${PERSONAL}`],
  [
    'a Backup Server on the same host',
    () => withLines('pbs notifications.cfg', '/etc/proxmox-backup/notifications.cfg', `sendmail: ops\n\tmailto ${PERSONAL}`),
    `pbs | /etc/proxmox-backup/notifications.cfg: ops mailto | ${PERSONAL}`,
  ],
]

describe('finds, and nothing beside it:', () => {
  test.each(CASES)('%s', (_title, seen, expected) => {
    expect(findingsOf(seen())).toEqual([expected])
    expect(gate(seen()).state).toBe('failed')
  })
})

test('tells every place with its own way out, not only the first', () => {
  const two = withOutput(
    'refused',
    () => BOUNCED,
    withOutput('postconf', (out) => out.replace(/^always_bcc =.*$/m, `always_bcc = ${PERSONAL}`)),
  )
  const seen = withOutput('queue', () => 'postqueue: fatal', two)
  const { message, places } = gate(seen)
  expect(message).toBe(`proxmox-home: postfix always_bcc, found ${PERSONAL} (and 1 more, each in: nightshift status)`)
  expect(places).toEqual([
    { place: 'postfix always_bcc', found: PERSONAL, next: `nightshift run emailRelay '{"host":"proxmox-home"}'` },
    { place: 'queue', found: 'could not be read: postqueue said what is not JSON: postqueue: fatal', next: expect.stringContaining('make it readable') },
  ])
})

test('a job that vzdump.cron holds is told of there, and not set through the API, which would move it', () => {
  const id = `${'0f'.repeat(20)}:1`
  expect(findingsOf(withRows('jobs', (rows) => [{ id, enabled: '1', mailto: PERSONAL, schedule: 'sat 02:00' }, ...rows]))).toEqual([])
})

test('what the server refused before there was a relay, or what a host that may not mail refuses itself, does not count', () => {
  expect(findingsOf(withOutput('refused', () => BOUNCED.replaceAll('mail.spine.ronny.works', 'mx.gmail.example')))).toEqual([])
  const off = { ...HOME, mode: 'disable' as const }
  const queue = judgeRelay(
    withOutput('refused', () => BOUNCED),
    RUNBOOK,
    off,
    TODAY,
  ).find(({ channel }) => channel === 'queue')
  expect(queue?.state).toBe('clean')
})

test('root may have no address at all, not even an allowed one, because aliases come before .forward; others may', () => {
  const aliases = (text: string) => withAnswer('aliases', { kind: 'file', text, sha256: 'x', mode: '0644', error: null })
  expect(findingsOf(aliases('postmaster: root\nroot: ronny@spine.ronny.works\n'))).toEqual(['aliases | /etc/aliases: root | ronny@spine.ronny.works'])
  expect(findingsOf(aliases('postmaster: root\nops: ronny@spine.ronny.works\n'))).toEqual([])
})

test('what stands there by default is no finding', () => {
  const smartd = withLines('smartd.conf', '/etc/smartd.conf', 'DEVICESCAN -d removable -n standby -m root -M exec /usr/share/smartmontools/smartd-runner')
  const zed = withLines('zed.rc', '/etc/zfs/zed.d/zed.rc', 'ZED_EMAIL_ADDR="root"', smartd)
  const cron = withLines('cron', '/etc/crontab', 'MAILTO=""', zed)
  expect(findingsOf(withLines('fail2ban', '/etc/fail2ban/jail.conf', 'destemail = root@localhost', cron))).toEqual([])
})

describe('what could not be read is unknown, which is no pass', () => {
  test('a program that hangs, a file that cannot be opened, an answer that is not JSON', () => {
    expect(unreadOf(withAnswer('matchers', { kind: 'run', exit: 124, out: '', err: '' }))).toEqual(['matchers', 'notification-files'])
    expect(unreadOf(withAnswer('cron', { kind: 'lines', files: [{ path: '/etc/crontab', lines: [], error: 'Permission denied' }] }))).toEqual(['cron'])
    expect(unreadOf(withOutput('queue', () => 'postqueue: fatal'))).toEqual(['queue'])
    expect(gate(withOutput('queue', () => 'postqueue: fatal'))).toMatchObject({
      state: 'unknown',
      reason: 'unread',
      message: expect.stringContaining('queue could not be read'),
    })
  })

  test('Postfix, on a host that has another mailer or none: its other ways are judged all the same', () => {
    const none = { kind: 'run', exit: 127, out: '', err: 'sh: 1: postconf: not found' } as const
    const names = ['postconf', 'postconf set', 'compiled aliases', 'postfix status', 'master services', 'master settings', 'queue'] as const
    const seen = withOutput(
      'sendmail',
      () => '/usr/sbin/exim4\n',
      names.reduce<RelayObservation>((so, name) => withAnswer(name, none, so), HEALTHY),
    )
    expect(unreadOf(seen)).toEqual(['aliases', 'postfix', 'queue'])
    expect(findingsOf(seen)).toEqual(['other-mta | /usr/sbin/sendmail | it is /usr/sbin/exim4, not that of Postfix'])
  })

  test('everything, when the reading did not run as root', () => {
    expect(unreadOf(withOutput('uid', () => '1000\n'))).toHaveLength(28)
  })
})

describe('an exception', () => {
  const seen = withRows('endpoints webhook', () => [
    { name: 'phone', url: 'https://ntfy.sh/mine' },
    { name: 'other', url: 'https://ntfy.sh/other' },
  ])
  const exception = { host: 'proxmox-home', channel: 'targets', place: 'target phone', reason: 'second channel', until: TODAY } as const
  const places = (exceptions: (typeof RUNBOOK)['exceptions'], today = TODAY) =>
    judgeRelay(seen, { ...RUNBOOK, exceptions }, HOME, today).flatMap(({ findings }) => findings.map(({ place }) => place))

  test('accepts exactly its place, on its host, until its day', () => {
    expect(places([exception])).toEqual(['target other'])
    expect(places([{ ...exception, host: 'pve' }])).toEqual(['target phone', 'target other'])
    expect(places([{ ...exception, channel: 'users' }])).toEqual(['target phone', 'target other'])
    expect(places([exception], '2026-11-22')).toEqual(['target phone', 'target other'])
  })

  test('lets the gate pass, which says so', () => {
    const one = withRows('endpoints webhook', () => [{ name: 'phone', url: 'https://ntfy.sh/mine' }])
    expect(gate(one, { ...RUNBOOK, exceptions: [exception] })).toMatchObject({
      state: 'passed',
      message: expect.stringContaining('beside 1 accepted by exceptions: target phone'),
    })
  })
})

test('the unit of the declared watcher is no way of mail, whatever the estate is called, and any other byte in it is', () => {
  const order: WatcherOrder = {
    ...{ watches: 'shop', host: 'proxmox-home', mailTo: 'ronny@spine.ronny.works', webhook: null },
    ...{ estate: 'ronny-mail', mailFrom: 'alerts@spine.ronny.works', limitSeconds: 1800 },
  }
  const { service } = watcherFiles(order)
  const unit = withLines('units', service.path, 'ExecStart=/usr/local/sbin/nightshift-watcher-ronny-mail')
  const gateWith = (content: string) => {
    const seen = withAnswer('watcher service', { kind: 'file', text: content, sha256: sha256Hex(content), mode: service.mode, error: null }, unit)
    return relayGateOf(HOME, judgeRelay(seen, RUNBOOK, HOME, TODAY, order)).reason
  }
  expect(gateWith(service.content)).toBe('ok')
  expect(gateWith(`${service.content}ExecStartPost=/usr/bin/mail ${PERSONAL}\n`)).toBe('systemd_leads_elsewhere')
})
