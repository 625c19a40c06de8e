/** Files as people write them, read by the program that goes to a host and then judged: what sends past the relay is found, and no secret comes back. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { judgeRelay } from '../../../src/domain/relay/judge.js'
import type { Question, RelayObservation } from '../../../src/domain/relay/observation.js'
import { planRelay } from '../../../src/domain/relay/plan.js'
import { parseRelayReading, relayProbe } from '../../../src/domain/relay/probe-program.js'
import { questionsOf } from '../../../src/domain/relay/questions.js'
import { withoutSecrets } from '../../../src/domain/relay/without-secrets.js'
import { HEALTHY, HOME, RUNBOOK, TODAY } from './world.js'

const PERSONAL = 'me@gmail.example'
const root = mkdtempSync(join(tmpdir(), 'nightshift-ways-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A host of which everything is healthy but its files. */
function hostWith(files: Readonly<Record<string, string>>): RelayObservation {
  rmSync(root, { recursive: true, force: true })
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const kept = ['forward programs', 'authorities', 'notifications.cfg', 'priv/notifications.cfg']
  const questions = questionsOf('').flatMap((each): Question[] =>
    each.kind !== 'lines' || kept.includes(each.name) ? [] : [{ ...each, globs: each.globs.map((glob) => join(root, glob.replace(/^~\*/, '/home/bob'))) }],
  )
  const out = execFileSync('perl', ['-'], { input: relayProbe(questions), encoding: 'utf8' })
  const { answers } = parseRelayReading('proxmox-home', 'pve', questions, out.replaceAll(root, ''))
  return { ...HEALTHY, answers: { ...HEALTHY.answers, ...answers } }
}

const findingsOf = (seen: RelayObservation) =>
  judgeRelay(seen, RUNBOOK, HOME, TODAY).flatMap(({ state, message, findings }) =>
    state === 'unknown' ? [`unknown: ${message}`] : findings.map(({ place, found }) => `${place} | ${found}`),
  )

test('each file that makes something send elsewhere is found, by its place', () => {
  const seen = hostWith({
    '/home/bob/.forward': `${PERSONAL}\n`,
    '/home/bob/.forward+ops': `${PERSONAL}\n`,
    '/home/bob/.msmtprc': 'account default\nhost smtp.gmail.com\npassword sekrit\n',
    '/etc/mail.rc': `set ask askcc\nset smtp=smtps://me:sekrit@smtp.gmail.com\nalias root ${PERSONAL}\n`,
    '/etc/smartd.conf': `# -m no@body.example\n/dev/sda -a \\\n-m ${PERSONAL},root -M exec /usr/local/bin/warn\n`,
    '/etc/default/smartmontools': 'smartd_opts="--interval=1800 -w /usr/local/bin/warn"\n',
    '/etc/zfs/zed.d/zed.rc': `ZED_EMAIL_OPTS="-s '@SUBJECT@' -c ${PERSONAL}"\nZED_NTFY_TOPIC="sekrit"\n`,
    '/etc/fail2ban/jail.local': `[DEFAULT]\n# destemail = no@body.example\naction_mw = %(mta)s[sender="%(sender)s", dest="%(destemail)s"]\n[sshd]\naction = sendmail-whois[name=SSH, dest=${PERSONAL}, sender=a@b.example]\n`,
    '/etc/nut/upssched.conf': 'CMDSCRIPT /usr/local/bin/ups\n',
    '/etc/cron-apt/config': `MAILTO="${PERSONAL}"\n`,
    '/etc/cron.d/check': `MAILTO=${PERSONAL}\n# 1 1 * * * root mail no@body.example\n0 3 * * * root /usr/local/bin/check | mail -s done ${PERSONAL}\n`,
    '/var/spool/cron/crontabs/bob': `MAILTO=${PERSONAL}\n`,
    '/usr/local/bin/tell': `#!/bin/sh\n# to no@body.example\nTO=${PERSONAL}\ndf -h | mail -s disk "$TO"\ncurl -s -d full \\\n  -H "Authorization: Bearer sekrit" https://me:sekrit@hooks.example.org/sekrit\ncurl -fsSL https://deb.example.org/key.gpg -o /etc/key\n`,
    '/etc/cron.daily/telegram': '#!/bin/bash\nwget -q "https://api.telegram.org/botsekrit/sendMessage?text=x"\n',
    '/home/bob/alert.py': '#!/usr/bin/python3\nimport smtplib\n',
    '/etc/systemd/system/backup.service':
      '[Unit]\nOnFailure=tell@%n.service\n[Service]\nExecStart=/usr/bin/curl -s -u me:sekrit -H "Authorization: Bearer sekrit" -d token=sekrit https://ntfy.example.org/sekrit\n',
    '/etc/monit/monitrc': 'set mailserver smtp.gmail.com port 465 username "me" password "sekrit" using tls\n',
    '/etc/sudoers.d/mail': `Defaults mailerpath=/usr/bin/msmtp, mailto="${PERSONAL}"\n`,
    '/etc/netdata/health_alarm_notify.conf': `role_recipients_email[sysadmin]="${PERSONAL}"\n`,
    '/etc/proxmox-backup/notifications.cfg': `smtp: off\n\tmailto ${PERSONAL}\n\tdisable true\nsendmail: on\n\tmailto ${PERSONAL}\n`,
  })
  expect(findingsOf(seen)).toEqual([
    `/usr/local/bin/tell | line 3: mails ${PERSONAL}; line 5: posts to hooks.example.org`,
    '/etc/cron.daily/telegram | line 2: posts to api.telegram.org',
    '/home/bob/alert.py | line 2: sends past Postfix (smtplib)',
    `/home/bob/.forward | ${PERSONAL}`,
    `/home/bob/.forward+ops | ${PERSONAL}`,
    '/home/bob/.msmtprc | settings of another mail program, which goes past Postfix',
    '/etc/mail.rc: set smtp | line 2: a mail program is told to send by itself, or to somebody else',
    '/etc/mail.rc: alias root | line 3: a mail program is told to send by itself, or to somebody else',
    `/etc/smartd.conf: -m | line 3: ${PERSONAL}`,
    '/etc/smartd.conf: -M exec | line 3: /usr/local/bin/warn',
    '/etc/default/smartmontools: smartd_opts | line 1: "--interval=1800 -w /usr/local/bin/warn"',
    `/etc/zfs/zed.d/zed.rc: ZED_EMAIL_OPTS | line 1: ${PERSONAL}`,
    '/etc/zfs/zed.d/zed.rc: ZED_NTFY_TOPIC | line 2: it is set',
    `/etc/cron.d/check: MAILTO | line 1: ${PERSONAL}`,
    `/var/spool/cron/crontabs/bob: MAILTO | line 1: ${PERSONAL}`,
    `/etc/cron.d/check: command | line 3: mails ${PERSONAL}`,
    `/etc/cron-apt/config: MAILTO | line 1: ${PERSONAL}`,
    `/etc/fail2ban/jail.local: dest | line 5: ${PERSONAL}`,
    '/etc/nut/upssched.conf: CMDSCRIPT | line 1: /usr/local/bin/ups',
    '/etc/systemd/system/backup.service: OnFailure | line 2: tell@%n.service',
    '/etc/systemd/system/backup.service: ExecStart | line 4: /usr/bin/curl -s -u *** -H *** -d *** https://ntfy.example.org/***',
    `/etc/sudoers.d/mail: mailto | line 1: ${PERSONAL}`,
    '/etc/sudoers.d/mail: mailerpath | line 1: /usr/bin/msmtp',
    '/etc/monit/monitrc: set mailserver | line 1: smtp.gmail.com port 465 username "me" password *** using tls',
    `/etc/netdata/health_alarm_notify.conf: role_recipients_email[sysadmin] | line 1: ${PERSONAL}`,
    `/etc/proxmox-backup/notifications.cfg: on mailto | ${PERSONAL}`,
  ])
  expect(JSON.stringify(seen)).not.toContain('sekrit')
})

test('what packages bring along, what mails root, and what only looks like it, is no finding', () => {
  const seen = hostWith({
    '/usr/local/sbin/nightly': '#!/bin/sh\nrsync -a /x git@nas.example.org:/y; echo done | mail root\ndate | sendmail ronny@spine.ronny.works\n',
    '/usr/local/bin/program': `\u007fELF mail ${PERSONAL}\n`,
    '/etc/cron.daily/logwatch': '#!/bin/bash\n/usr/sbin/logwatch --output mail\n',
    '/etc/mail.rc': 'set ask askcc append dot save crt\nignore Received Message-Id\n',
    '/etc/smartd.conf': 'DEVICESCAN -d removable -n standby -m root -M exec /usr/share/smartmontools/smartd-runner\n',
    '/etc/crontab': 'SHELL=/bin/sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n',
    '/etc/fail2ban/jail.conf': 'destemail = root@localhost\naction_mwl = %(action_)s\n  %(mta)s-whois-lines[sender="%(sender)s", dest="%(destemail)s"]\n',
    '/etc/systemd/system/mail-archive.service': '[Service]\nExecStart=/usr/local/bin/mail-archive --fetch https://mail.example.org\n',
    '/home/bob/.forward.bak': `${PERSONAL}\n`,
  })
  expect(findingsOf(seen)).toEqual([])
})

test('a file that cannot be read is unknown, and so is one that is too big to be a setting', () => {
  expect(findingsOf(hostWith({ '/etc/crontab': `#${'x'.repeat(1024 * 1024)}\n` }))).toEqual(['unknown: /etc/crontab: is bigger than 1048576 bytes'])
})

test('what a reading may keep holds no header, no proxy and no login of main.cf; and no plan is made over such a login', () => {
  const out = (value: unknown) => ({ kind: 'run', exit: 0, out: typeof value === 'string' ? value : JSON.stringify(value), err: '' }) as const
  const login = (text: string, name: string) => {
    const answer = HEALTHY.answers[name]
    return out(`${answer?.kind === 'run' ? answer.out.replace(/^smtp_sasl_password_maps.*\n?/m, '') : ''}smtp_sasl_password_maps = ${text}\n`)
  }
  const seen = withoutSecrets({
    ...HEALTHY,
    answers: {
      ...HEALTHY.answers,
      'endpoints webhook': out([{ name: 'phone', url: 'https://ntfy.sh/***', header: ['name=Authorization,value=sekrit'], body: 'sekrit' }]),
      options: out({ email_from: 'root@pve', http_proxy: 'http://me:sekrit@proxy:3128' }),
      postconf: login('static:me:sekrit', 'postconf'),
      'postconf set': login('inline:{ [a]=me:sekrit }', 'postconf set'),
      'master settings': out('relay/unix/smtp_sasl_password_maps = static:me:sekrit\n'),
    },
  })
  expect(JSON.stringify(seen)).not.toContain('sekrit')
  expect(findingsOf(seen)).toContain('target phone | a target of type webhook, past Postfix: https://ntfy.sh/***')
  const verdicts = judgeRelay(seen, RUNBOOK, HOME, TODAY)
  expect(() => planRelay(seen, RUNBOOK, HOME, verdicts)).toThrow('take it out first: postconf -X smtp_sasl_password_maps')
})
