/** emailRelay end to end, from hosts that mail a personal inbox: real Postfix on both sides, real Dovecot, the compiled program, answers by a person. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client, WorkflowHandle } from '@temporalio/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { applyState } from '../../lab/estate/index.js'
import type { LabHost } from '../../lab/host.js'
import { ACCOUNTS, MAIL_HOST, WEBHOOK_HOST, WEBHOOK_LOG, webhookUrl } from '../../lab/mail/names.js'
import { playJob } from '../../lab/play-job.js'
import { watcherPaths } from '../../src/domain/relay/watcher.js'
import type { PlanView } from '../../src/workflows/approval.js'
import type { GatesResult } from '../../src/workflows/drift-gates.js'
import type { EmailRelayResult } from '../../src/workflows/email-relay.js'
import { historyText } from '../support/history-text.js'
import { testLab } from '../support/lab.js'
import { nightshift, startUp } from '../support/nightshift.js'
import { clientOf, makePlace, type TestPlace } from '../support/place.js'
import { eventually } from '../support/polling.js'

const [ALERTS, RONNY, PERSONAL] = ACCOUNTS
const lab = await testLab('email-relay', { hosts: ['pve', 'proxmox-home', MAIL_HOST, WEBHOOK_HOST], state: 'as-found' })
const { name } = lab
const undo: (() => Promise<unknown>)[] = []
let place: TestPlace
let client: Client

beforeEach(async () => {
  await applyState(lab, 'as-found')
  place = await makePlace(lab.paths.config)
  undo.push(() => place.remove())
  const up = await startUp(place)
  undo.push(() => up.stop())
  const connected = await clientOf(up, name)
  client = connected.client
  undo.push(connected.close)
})

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const shell = async (host: LabHost, script: string) => (await host.exec(['sh', '-c', script])).stdout
/** What decides where a mail of this host goes. */
const waysOf = (host: LabHost) =>
  shell(
    host,
    `postconf -n | sed 's/ *$//'; cat /etc/aliases /root/.forward; ls /etc/postfix; postalias -s hash:/etc/aliases | grep -v YP_
     pvesh get /cluster/notifications/endpoints/sendmail/mail-to-root --output-format json | sed 's/"digest":"[^"]*",//'`,
  )
const inboxOf = async (address: string) => {
  const [user, domain] = address.split('@')
  const out = await shell(
    lab.host(MAIL_HOST),
    `grep -rhi '^Subject:' /var/mail/lab/${domain}/${user}/Maildir/new /var/mail/lab/${domain}/${user}/Maildir/cur 2>/dev/null || true`,
  )
  return out.split('\n').filter((line) => line !== '')
}
const mailRoot = (host: LabHost, subject: string) =>
  host.exec(['sendmail', '-i', 'root'], { stdin: `Subject: ${subject}\n\nSomething on this host has to say something.\n` })

const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1)
/** A package comes, as apt lets dpkg put it there. */
const INSTALL = `set -e; d=$(mktemp -d); mkdir "$d/DEBIAN"; chmod 755 "$d"
printf 'Package: nightshift-lab-event\\nVersion: 1\\nArchitecture: all\\nMaintainer: lab <root@localhost>\\nDescription: an event\\n' > "$d/DEBIAN/control"
dpkg-deb -Zgzip --root-owner-group --build "$d" "$d.deb"; dpkg -i "$d.deb"; rm -r "$d" "$d.deb"`
/** A job of the host's own. */
const SOON = ['--id', 'soon', '--schedule', '21:00', '--storage', 'synology-backups', '--vmid', '105', '--enabled', '1']

const start = (host: string) =>
  client.workflow.start('emailRelay', { workflowId: `relay/${host}`, taskQueue: `nightshift-${name}`, args: [{ host, requestedBy: 'ronny' }] })
const gatesNow = async () =>
  (await client.workflow.execute('driftGates', { workflowId: `gates/${name}`, taskQueue: `nightshift-${name}`, args: [] })) as GatesResult
const gateOf = async (host: string) => (await gatesNow()).gates.find(({ id }) => id === `mail-route/${host}`)

/** @param after the digest of the plan before */
async function approved(handle: WorkflowHandle, after?: string): Promise<PlanView['plans'][number]> {
  let view: PlanView | undefined
  await eventually('the plan waits for an answer', async () => {
    view = await handle.query<PlanView>('plan')
    return view.state === 'waiting for approval' && view.plans[0]?.digest !== after
  })
  const plan = view?.plans[0]
  if (plan === undefined) throw new Error('there is no plan')
  await handle.executeUpdate('approve', { args: [{ digest: plan.digest, approver: 'ronny', reason: 'as we said' }] })
  return plan
}

/** A webhook target that is switched off; Proxmox keeps values of headers in base64. */
const OFF_WITH_A_TOKEN = '--name phone --method post --url https://ntfy.example.org/x --header name=Authorization,value=c2Vrcml0 --disable 1'.split(' ')

describe('emailRelay', () => {
  it('turns a host that mails a personal inbox to the relay with its watcher, settles its old queue by decision, reads three kinds of mail back, and the gate passes until something leads elsewhere again', async () => {
    const home = lab.host('proxmox-home')
    const server = lab.host(MAIL_HOST)
    await home.exec(['pvesh', 'create', '/cluster/backup', ...SOON])
    await shell(home, 'echo "http_proxy: http://me:sekrit@proxy.example:3128" >> /etc/pve/datacenter.cfg')
    await home.exec(['pvesh', 'create', '/cluster/notifications/endpoints/webhook', ...OFF_WITH_A_TOKEN])
    await place.edit('email-relay.yaml', (document) => {
      document.setIn(['watcher', 0, 'webhook'], webhookUrl(lab.record.subnet))
      document.setIn(['hosts', 1, 'old_queue'], 'flush')
    })
    await mailRoot(home, 'before the relay')
    await eventually('the personal inbox got it', async () => (await inboxOf(PERSONAL)).includes('Subject: before the relay'))
    await server.exec(['systemctl', 'stop', 'postfix'])
    undo.push(() => server.exec(['systemctl', 'start', 'postfix']))
    await home.exec(['sendmail', '-i', RONNY], { stdin: 'Subject: could not be sent\n\nIt waits.\n' })
    // A report that waits has no sender, which the server takes from nobody.
    await home.exec(['sendmail', '-i', '-f', '<>', RONNY], { stdin: 'Subject: a report of before\n\nIt waits too.\n' })
    await eventually('they wait', async () => (await shell(home, 'postqueue -j')).match(/"deferred"/g)?.length === 2)
    await server.exec(['systemctl', 'start', 'postfix'])
    expect(await gateOf('proxmox-home')).toMatchObject({ state: 'failed' })

    const handle = await start('proxmox-home')
    const plan = await approved(handle)
    expect(plan.steps.map(({ id }) => id)).toEqual([
      'write /etc/postfix/sasl_passwd',
      'set postfix',
      'set target mail-to-root',
      'write /etc/aliases',
      "write the watcher's script",
      "write the watcher's service",
      "write the watcher's timer",
      'start the watcher',
    ])
    expect(JSON.stringify(plan.facts.queue)).toContain(RONNY)
    // Then a job of its own runs, and packages change.
    await eventually('the proofs are there', async () => (await inboxOf(RONNY)).includes('Subject: Test notification'))
    await shell(home, INSTALL)
    undo.push(() => home.exec(['dpkg', '--purge', 'nightshift-lab-event']))
    await playJob(home, 'soon')
    const queue = await approved(handle, plan.digest)
    expect(queue).toMatchObject({ title: 'What waits in the queue of proxmox-home: flush', steps: [{ id: 'flush old queue' }] })
    expect(queue.steps[0]?.diff.map(({ to }) => to).sort()).toEqual([`sent again, from ${ALERTS}`, 'tried again now'])
    const result = (await handle.result()) as EmailRelayResult
    expect(result, result.gate?.message ?? result.message).toMatchObject({ state: 'done', gate: { state: 'passed' } })
    const way = { path: ['pve.home.lan', 'mail.spine.ronny.works'], protocol: 'ESMTPSA', sender: ALERTS }
    expect(result.proof).toMatchObject({
      mailToRoot: {
        subject: 'nightshift: test of the way of mail',
        path: ['pve.home.lan', 'pve.home.lan', 'mail.spine.ronny.works'],
        protocol: 'ESMTPSA',
        sender: ALERTS,
        latencySeconds: expect.any(Number),
      },
      notification: { subject: 'Test notification', ...way },
      job: { subject: expect.stringMatching(/^vzdump backup status \(pve/), ...way },
      oldQueue: { decision: 'flush', state: 'applied', digest: queue.digest },
      watched: { packages: { changedAt: expect.any(String), said: expect.stringMatching(/ status installed nightshift-lab-event:all 1$/) }, bounced: [] },
    })
    const waited = (subjects: string[]) => subjects.filter((subject) => /could not be sent|a report of before/.test(subject)).sort()
    await eventually('what waited has come', async () => waited(await inboxOf(RONNY)).length >= 2)
    expect(waited(await inboxOf(RONNY))).toEqual(['Subject: a report of before', 'Subject: could not be sent'])
    const receipts = JSON.parse((await nightshift(place, ['receipts', 'list', '--json'])).stdout) as { number: number; kind: string }[]
    const receipt = receipts.findLast(({ kind }) => kind === 'emailRelay')?.number
    const { stdout: shown } = await nightshift(place, ['receipts', 'show', String(receipt), '--json'])
    expect(
      [plan.digest, queue.digest].filter((digest) => !shown.includes(digest)),
      shown,
    ).toEqual([])

    await mailRoot(home, 'after the relay')
    await eventually('it is in our own mailbox', async () => (await inboxOf(RONNY)).includes('Subject: after the relay'))
    expect(await inboxOf(PERSONAL)).toEqual(['Subject: before the relay'])
    // The login is on the host alone: not in a plan, not in a history.
    const password = (await place.read(`secrets/${ALERTS}`)).trim()
    expect(JSON.stringify([plan, result])).not.toContain(password)
    const history = historyText((await handle.fetchHistory()).events)
    expect(history, 'what was read is in it').toContain('smtp_sasl_password_maps')
    expect(history).not.toContain(password)
    expect(history, 'a proxy of datacenter.cfg, a header of a target').not.toMatch(/sekrit|c2Vrcml0/)

    const gates = await gatesNow()
    expect(gates.gates.find(({ id }) => id === 'mail-route/proxmox-home')).toMatchObject({ state: 'passed', next: null })
    expect(gates.gates.find(({ id }) => id === 'watcher/proxmox-home')?.reason).toMatch(/^(no_way|no_mark|ok)$/)
    // What a package of another version writes into root's .forward.
    await shell(home, 'echo "|/usr/bin/proxmox-mail-forward" >> /root/.forward')
    expect(await gateOf('proxmox-home')).toMatchObject({
      state: 'failed',
      message: 'proxmox-home: /root/.forward, found |/usr/libexec/proxmox-mail-forward and |/usr/bin/proxmox-mail-forward',
      next: `nightshift run emailRelay '{"host":"proxmox-home"}'`,
    })

    // Its ways are those of the host: the relay that was set up, and what posts there.
    const watcher = watcherPaths(name)
    expect(await shell(home, `systemctl is-active ${nameOf(watcher.timer)}; systemctl is-enabled ${nameOf(watcher.timer)}`)).toBe('active\nenabled\n')
    const say = `rm -f ${watcher.folder}/*; systemctl reset-failed ${nameOf(watcher.service)}; systemctl start ${nameOf(watcher.service)}`
    await shell(home, `systemctl stop ${nameOf(watcher.timer)}; touch -d '2 hours ago' ${watcher.script}; ${say}`)
    // Where there is no curl, wget has to do.
    undo.push(() => shell(home, 'rm -f /usr/local/bin/wget; [ ! -e /usr/bin/curl.away ] || mv /usr/bin/curl.away /usr/bin/curl'))
    await shell(home, `mv /usr/bin/curl /usr/bin/curl.away; ln -s "$(command -v busybox)" /usr/local/bin/wget; ${say}`)
    const posts = (await shell(lab.host(WEBHOOK_HOST), `grep -F 'nightshift of ${name} is silent' ${WEBHOOK_LOG} || true`)).split('\n').filter(Boolean)
    const headers = posts.map((line) => (JSON.parse(line) as { headers: Record<string, string>; body: string }).headers)
    expect(headers.map((each) => [each.title, each.priority, each['user-agent']?.split('/')[0]])).toEqual([
      [`nightshift of ${name} is silent`, '5', 'curl'],
      [`nightshift of ${name} is silent`, '5', 'Wget'],
    ])
    await eventually('by mail too', async () => (await inboxOf(RONNY)).includes(`Subject: nightshift of ${name} is silent`))

    await place.edit('email-relay.yaml', (document) => document.delete('watcher'))
    await shell(home, `systemctl start ${nameOf(watcher.timer)}`)
    const again = await start('proxmox-home')
    const away = await approved(again)
    expect(away.steps.map(({ id }) => id)).toEqual([
      'write /root/.forward',
      'stop the watcher',
      "remove the watcher's timer",
      "remove the watcher's service",
      "remove the watcher's script",
      "remove the watcher's folder",
    ])
    const left = `ls -d ${watcher.script} ${watcher.service} ${watcher.timer} ${watcher.folder} 2>/dev/null || true`
    await eventually('it is gone', async () => (await shell(home, left)) === '')
    await again.terminate('the watch waits for the next job')

    // Neither somebody's mail nor the report of it is taken: it is told, and not reported without end.
    const nobody = JSON.stringify({ answers: [{ recipient: '^(nobody|alerts)@', text: '550 5.1.1 no such user' }] })
    undo.push(() => server.exec(['sh', '-c', 'echo {} > /etc/nightshift-lab/mail.json']))
    await server.exec(['sh', '-c', 'cat > /etc/nightshift-lab/mail.json'], { stdin: nobody })
    await home.exec(['sendmail', '-i', 'nobody@spine.ronny.works'], { stdin: 'Subject: to nobody\n\nx\n' })
    const refused = async () => (await shell(home, 'journalctl --no-pager -o cat SYSLOG_FACILITY=2 | grep -c status=bounced || true')).trim()
    await eventually('both were refused', async () => (await refused()) === '2' && (await shell(home, 'postqueue -j')) === '')
    const gate = await gateOf('proxmox-home')
    expect(gate?.places?.map(({ place }) => place)).toEqual(['queue: refused'])
    expect(gate?.message).toContain('2 mails refused for good within a day, and nobody on the host was told; the last for nobody@spine.ronny.works: ')
    expect(await refused()).toBe('2')
  }, 420_000)

  it('takes everything back when the server refuses the login, or when its certificate is not trusted, and leaves no test mail behind', async () => {
    const pve = lab.host('pve')
    const before = await waysOf(pve)
    const secret = join(place.config, 'secrets', ALERTS)
    const right = await place.read(`secrets/${ALERTS}`)
    await writeFile(secret, 'not-the-password\n', { mode: 0o600 })
    const handle = await start('pve')
    await approved(handle)
    const result = (await handle.result()) as EmailRelayResult
    expect(result.state, result.message).toBe('rolled_back')
    expect(result.message).toContain('not proven: the mail to root cannot arrive: deferred: ')
    expect(result.message).toContain('535')
    expect(new Set(result.steps.map(({ outcome }) => outcome))).toEqual(new Set(['undone']))
    expect(await waysOf(pve)).toBe(before)
    expect(await shell(pve, 'postqueue -j')).toBe('')
    await mailRoot(pve, 'as it was before')
    await eventually('the personal inbox got it', async () => (await inboxOf(PERSONAL)).includes('Subject: as it was before'))

    // The login is right, and no authority that this host trusts has signed the server's certificate.
    await writeFile(secret, right, { mode: 0o600 })
    const store = '/etc/ssl/certs/ca-certificates.crt'
    await shell(pve, `cp ${store} /root/store; awk '/BEGIN/ { n++ } n == 1' /root/store > ${store}`)
    undo.push(() => pve.exec(['mv', '/root/store', store]))
    const untrusted = await start('pve')
    await approved(untrusted)
    const refused = (await untrusted.result()) as EmailRelayResult
    expect(refused.message).toContain('not proven: the mail to root cannot arrive: deferred: Server certificate not ')
    expect(refused.state).toBe('rolled_back')
    expect(await waysOf(pve)).toBe(before)
    expect(await shell(pve, 'postqueue -j')).toBe('')
  }, 300_000)

  it('with mode disable lets no mail leave the host, and leaves to a person what is not its own to change, with the command', async () => {
    const pve = lab.host('pve')
    await place.edit('email-relay.yaml', (document) => document.setIn(['hosts', 0, 'mode'], 'disable'))
    const since = (await shell(pve, 'date +%s')).trim()
    const handle = await start('pve')
    const plan = await approved(handle)
    expect(plan.steps.map(({ id }) => id)).toEqual(['set postfix', 'disable matcher default-matcher'])
    expect(plan.warnings.map(({ message }) => message)).toContain(`user root@pam: email: ${PERSONAL}; pveum user modify root@pam --email ${RONNY}`)
    await eventually('the silence is proven and watched', async () =>
      (await shell(pve, `journalctl --no-pager --since @${since} SYSLOG_FACILITY=2 -o cat`)).includes('this host sends no mail'),
    )
    await mailRoot(pve, 'unheard')
    expect(await gateOf('pve')).toMatchObject({ state: 'failed', reason: 'users_leads_elsewhere', next: `pveum user modify root@pam --email ${RONNY}` })
    expect(await inboxOf(PERSONAL)).toEqual([])
    await handle.terminate('the watch lasts a day')
  }, 300_000)
})
