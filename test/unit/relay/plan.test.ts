/** From what a host does with mail to what is wanted, in steps; and the way of a message, read from its headers. */
import { describe, expect, test } from 'vitest'
import { type PlanStep, sealPlan } from '../../../src/domain/change/plan.js'
import { makeRedact, redactDeep } from '../../../src/domain/redact.js'
import { aliasEntries, withoutValues } from '../../../src/domain/relay/aliases.js'
import { judgeRelay } from '../../../src/domain/relay/judge.js'
import type { RelayObservation } from '../../../src/domain/relay/observation.js'
import { planOldQueue, planRelay } from '../../../src/domain/relay/plan.js'
import { deliveriesIn, hopeless, newestOf, otherRoutes, type ReadMail, routeOfMail } from '../../../src/domain/relay/proof.js'
import { AS_FOUND, HEALTHY, HOME, RUNBOOK, TODAY, withAnswer, withOutput, withRows } from './world.js'

const planOf = (seen: RelayObservation, host = HOME, runbook = RUNBOOK) => planRelay(seen, runbook, host, judgeRelay(seen, runbook, host, TODAY))
const stepOf = (id: string, seen = AS_FOUND, host = HOME): PlanStep => {
  const found = planOf(seen, host).steps.find((step) => step.id === id)
  return (
    found ??
    expect.fail(
      `there is no step "${id}": ${planOf(seen, host)
        .steps.map((step) => step.id)
        .join(', ')}`,
    )
  )
}
const commandOf = (effect: PlanStep['effect']) => (effect.kind === 'command' ? effect.argv : expect.fail(effect.kind))

describe('the plan', () => {
  test('sets up the relay first, then what leads past it, and has an undo for each step', () => {
    const { steps } = planOf(AS_FOUND)
    expect(steps.map(({ id }) => id)).toEqual(['write /etc/postfix/sasl_passwd', 'set postfix', 'set target mail-to-root', 'write /etc/aliases'])
    expect(steps.every(({ undo }) => 'effect' in undo)).toBe(true)
  })

  test('is empty where everything is as wanted', () => {
    expect(planOf(HEALTHY)).toMatchObject({ steps: [], warnings: [] })
  })

  test('holds the login as a reference, and survives the redaction that everything goes through', () => {
    const plan = sealPlan(planOf(AS_FOUND))
    const { effect, after } = stepOf('write /etc/postfix/sasl_passwd')
    const content = '[mail.spine.ronny.works]:465 alerts@spine.ronny.works:{{secret:file:/etc/nightshift/secrets/alerts@spine.ronny.works}}\n'
    expect(effect).toMatchObject({ stdin: content })
    expect(after).toEqual([{ kind: 'secret-file', path: '/etc/postfix/sasl_passwd', content, mode: '0600' }])
    expect(redactDeep(plan, makeRedact([])).steps).toEqual(plan.steps)
  })

  test('has the same digest when it is made again an hour later', () => {
    const later = withRows(
      'jobs',
      (rows) => rows.map((job) => ({ ...job, 'next-run': 1_900_000_000 })),
      withOutput('queue', () => '', AS_FOUND),
    )
    expect(sealPlan(planOf(later)).digest).toBe(sealPlan(planOf(AS_FOUND)).digest)
  })

  test('sets notification targets by the digest of what was compared, and brings back exactly what was there', () => {
    const { effect, undo, before } = stepOf('set target mail-to-root')
    const path = '/cluster/notifications/endpoints/sendmail/mail-to-root'
    const digest = ['--digest', '{{sha256:/etc/pve/notifications.cfg}}']
    const to = ['--from-address', 'alerts@spine.ronny.works', '--mailto', 'ronny@spine.ronny.works', '--delete', 'mailto-user']
    expect(commandOf(effect)).toEqual(['pvesh', 'set', path, ...to, ...digest])
    expect('effect' in undo && commandOf(undo.effect)).toEqual([
      'pvesh',
      'set',
      path,
      '--mailto-user',
      'root@pam',
      '--delete',
      'from-address',
      '--delete',
      'mailto',
      ...digest,
    ])
    expect(before).toEqual([
      { kind: 'api', path, fields: { disable: null, 'from-address': null, mailto: null, 'mailto-user': ['root@pam'] }, sets: ['mailto', 'mailto-user'] },
    ])
  })

  test('unsets what main.cf did not say before, and gives back what it said', () => {
    const { undo, before } = stepOf('set postfix')
    const [, , script = '', , ...unset] = 'effect' in undo ? commandOf(undo.effect) : []
    expect(script).toBe('postconf -X "$@" && postconf -e \'relayhost=\' && postfix reload')
    expect(unset).toContain('smtp_tls_wrappermode')
    expect(unset).not.toContain('relayhost')
    expect(before).toMatchObject([{ stdout: 'relayhost =' }])
  })

  test('takes the address out of a job, and can give it back', () => {
    const seen = withRows('jobs', (rows) => rows.map((job) => (job.id === 'backup-home-p0-daily' ? { ...job, mailto: 'me@gmail.example' } : job)))
    const { effect, undo } = stepOf('set job backup-home-p0-daily', seen)
    expect(commandOf(effect).slice(3)).toEqual(['--delete', 'mailto', '--notification-mode', 'notification-system'])
    expect('effect' in undo && commandOf(undo.effect).slice(3)).toEqual(['--mailto', 'me@gmail.example', '--delete', 'notification-mode'])
  })

  test('never touches an SMTP target; it is left to a person, with the command', () => {
    const seen = withRows('endpoints smtp', () => [{ name: 'gmail', server: 'smtp.gmail.com', mailto: ['me@gmail.example'] }])
    const { steps, warnings } = planOf(seen)
    expect(steps).toEqual([])
    expect(warnings).toEqual([
      { code: 'left_for_a_person', message: expect.stringContaining('pvesh set /cluster/notifications/endpoints/smtp/gmail --disable 1') },
    ])
  })

  test('changes nothing that an exception accepts', () => {
    const exception = { host: HOME.host, channel: 'aliases', place: '/etc/aliases: root', reason: 'until the move', until: TODAY } as const
    expect(planOf(AS_FOUND, HOME, { ...RUNBOOK, exceptions: [exception] }).steps.map(({ id }) => id)).not.toContain('write /etc/aliases')
  })

  test('with mode disable lets Postfix refuse, and matchers tell nobody', () => {
    const off = { ...HOME, mode: 'disable' as const }
    expect(planOf(AS_FOUND, off).steps.map(({ id }) => id)).toEqual(['set postfix', 'disable matcher default-matcher', 'write /etc/aliases'])
    expect(commandOf(stepOf('set postfix', AS_FOUND, off).effect)).toContain('default_transport=error:5.7.1 this host sends no mail, by decision')
  })
})

describe('the old queue', () => {
  const seen = withOutput(
    'queue',
    () =>
      '{"queue_name":"deferred","queue_id":"B2","arrival_time":1795238335,"sender":"root@pve","recipients":[{"address":"me@gmail.example","delay_reason":"timed out"}]}\n{"queue_name":"active","queue_id":"A1","arrival_time":1795238335,"sender":"root@pve","recipients":[{"address":"x@y.example"}]}\n',
  )

  test('is deleted mail by mail, which is destructive and cannot be taken back; what is on its way is left', () => {
    const [step] = planOldQueue(seen, RUNBOOK, { ...HOME, oldQueue: 'delete' }).steps
    expect(step).toMatchObject({ destructive: ['deletes data'], effect: { argv: ['postsuper', '-d', 'B2'] }, undo: { none: expect.any(String) } })
  })

  test('with an empty sender is sent again from the relay’s own: a server that checks its senders would refuse it for good', () => {
    const report = withOutput('queue', (out) => out.replace('"sender":"root@pve"', '"sender":"MAILER-DAEMON"'), seen)
    const [step] = planOldQueue(report, RUNBOOK, { ...HOME, oldQueue: 'flush' }).steps
    expect(step?.diff).toEqual([{ field: 'B2', from: 'me@gmail.example', to: 'sent again, from alerts@spine.ronny.works' }])
    expect(commandOf(step?.effect ?? expect.fail('no step')).slice(-2)).toEqual(['alerts@spine.ronny.works', 'B2'])
  })

  test('is kept unless something else was decided, and nothing is planned for an empty one', () => {
    expect(planOldQueue(seen, RUNBOOK, HOME).steps).toEqual([])
    expect(planOldQueue(HEALTHY, RUNBOOK, { ...HOME, oldQueue: 'delete' }).steps).toEqual([])
  })
})

describe('/etc/aliases', () => {
  const TEXT = '# who reads what\npostmaster:    root\nroot: admin,\n  me@gmail.example\n"ops team": me@gmail.example\nadmin: ronny\n'

  test('goes on over lines that begin with a blank, and knows quoted names', () => {
    expect(aliasEntries(TEXT).map(({ name, values }) => [name, values])).toEqual([
      ['postmaster', ['root']],
      ['root', ['admin', 'me@gmail.example']],
      ['ops team', ['me@gmail.example']],
      ['admin', ['ronny']],
    ])
  })

  test('loses only the addresses elsewhere; the rest stays as it is written', () => {
    const goes = (_name: string, value: string) => value === 'me@gmail.example'
    expect(withoutValues(TEXT, goes)).toBe(
      '# who reads what\npostmaster:    root\nroot: admin\nops team: root\nadmin: ronny\n'.replace('ops team', '"ops team"'),
    )
    expect(withoutValues('root: me@gmail.example\n', goes)).toBe('')
  })
})

describe('the way of a message', () => {
  // As Postfix in the place of Stalwart wrote them.
  const mail: ReadMail = {
    folder: 'INBOX',
    uid: 4,
    arrivedAt: '2026-11-21T14:05:36.000Z',
    messageId: '<x@nightshift.invalid>',
    subject: 'nightshift: test of the way of mail',
    from: 'root <root@pve.shop.lan>',
    returnPath: 'alerts@spine.ronny.works',
    received: [
      'from pve.shop.lan (unknown [10.212.47.11]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256) (No client certificate requested) (Authenticated sender: alerts@spine.ronny.works) by mail.spine.ronny.works (Postfix) with ESMTPSA id 9811D9F200A for <ronny@spine.ronny.works>; Sat, 21 Nov 2026 09:05:36 -0500 (EST)',
      'by pve.shop.lan (Postfix, from userid 0) id 7A56D9F007E; Sat, 21 Nov 2026 09:05:36 -0500 (EST)',
      'by pve.shop.lan (Postfix, from userid 0) id 5FFA39F0083; Sat, 21 Nov 2026 09:05:36 -0500 (EST)',
    ],
  }
  const [server = '', ...onHost] = mail.received
  const way = (change: Partial<ReadMail>) => routeOfMail({ ...mail, ...change }, RUNBOOK.relay, 'pve.shop.lan')

  test('from the host to the server, with TLS and a login', () => {
    expect(way({})).toEqual({ path: ['pve.shop.lan', 'pve.shop.lan', 'mail.spine.ronny.works'], protocol: 'ESMTPSA', sender: 'alerts@spine.ronny.works' })
  })

  test.each([
    ['without a login', { received: [server.replace('ESMTPSA', 'ESMTPS'), ...onHost] }, /took it with ESMTPS, not with TLS and a login/],
    ['past another server', { received: [server, 'from pve.shop.lan by mx.gmail.example with ESMTPS id 1; now', ...onHost] }, /it passed mx\.gmail\.example/],
    ['from another host', { received: [server.replace('from pve.shop.lan', 'from elsewhere.lan'), ...onHost] }, /got it from elsewhere\.lan/],
    ['a server that writes no line', { received: onHost }, /no Received line of mail\.spine\.ronny\.works/],
    ['another sender', { returnPath: 'root@pve.shop.lan' }, /its sender is root@pve\.shop\.lan/],
    ['the null sender', { returnPath: '' }, /its sender is the null sender/],
  ])('%s is another way', (_title, change, why) => {
    expect(way(change)).toMatch(why)
  })
})

describe('the mail log', () => {
  // Lines of real Postfix, by journalctl -o short-unix.
  const LOG = [
    '1795270536.421 pve postfix/local[811]: 5FFA39F0083: to=<root@pve.shop.lan>, orig_to=<root>, relay=local, delay=0.14, delays=0.04/0.02/0/0.08, dsn=2.0.0, status=sent (delivered to command: /usr/libexec/proxmox-mail-forward)',
    '1795270536.611 pve postfix/smtp[815]: 7A56D9F007E: to=<ronny@spine.ronny.works>, relay=mail.spine.ronny.works[10.212.47.21]:465, delay=0.12, delays=0/0.07/0.05/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9811D9F200A)',
    '1795270537.002 pve postfix/smtp[815]: 9735B9F0089: to=<ronny@personal.example>, relay=personal.example[10.212.47.21]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as AA)',
    '1795270538.100 pve postfix/smtp[820]: 4BFA49F0164: to=<ronny@spine.ronny.works>, relay=mail.spine.ronny.works[10.212.47.21]:465, delay=0.3, delays=0/0/0.3/0, dsn=4.7.8, status=deferred (SASL authentication failed; server mail.spine.ronny.works[10.212.47.21] said: 535 5.7.8 Error: authentication failed: (reason unavailable))',
    '1795270539.100 pve postfix/smtp[820]: 4BFA49F0165: to=<x@y.example>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, status=deferred (connect to mail.spine.ronny.works[10.212.47.21]:465: Connection refused)',
  ].join('\n')
  const deliveries = deliveriesIn(LOG)
  const RONNY = 'ronny@spine.ronny.works'

  test('tells each delivery: by which way, and what the other side said', () => {
    expect(deliveries).toHaveLength(5)
    expect(deliveries[1]).toEqual({
      by: 'smtp',
      queueId: '7A56D9F007E',
      to: 'ronny@spine.ronny.works',
      relay: 'mail.spine.ronny.works[10.212.47.21]:465',
      status: 'sent',
      said: '250 2.0.0 Ok: queued as 9811D9F200A',
      at: '2026-11-21T14:15:36.611Z',
    })
  })

  test('shows another way, and takes no attempt that reached nobody for one', () => {
    expect(otherRoutes(deliveries, RUNBOOK.relay).map(({ relay }) => relay)).toEqual(['personal.example[10.212.47.21]:25'])
    expect(otherRoutes(deliveries, null)).toHaveLength(3)
  })

  test('knows what no later attempt mends: a refused login, and not a server that is away', () => {
    expect(hopeless(deliveries, RONNY)?.queueId).toBe('4BFA49F0164')
    expect(hopeless(deliveries.slice(4), RONNY)).toBeUndefined()
  })

  test.each(['Server certificate not trusted', 'Server certificate not verified', 'TLS is required, but our TLS engine is unavailable'])(
    '%s is mended by no later attempt either',
    (said) => {
      const [attempt] = deliveries.slice(3)
      expect(hopeless(attempt === undefined ? [] : [{ ...attempt, said }], RONNY)?.said).toBe(said)
    },
  )

  test('takes a refusal of somebody else’s mail for none of ours', () => {
    const refused = deliveriesIn(LOG.replaceAll('status=sent (250 2.0.0 Ok: queued as AA)', 'status=bounced (said: 550 5.1.1 no such user)')).slice(1, 3)
    expect(hopeless(refused, RONNY)).toBeUndefined()
    expect(hopeless(refused, 'ronny@personal.example')?.queueId).toBe('9735B9F0089')
  })

  test('keeps each way of a log that is too long to keep', () => {
    const long = [...deliveries, ...Array.from({ length: 400 }, () => deliveries[1] ?? expect.fail())]
    const kept = newestOf(long, 300)
    expect(kept.length).toBeLessThan(310)
    expect(otherRoutes(kept, RUNBOOK.relay)).toEqual(otherRoutes(deliveries, RUNBOOK.relay))
  })
})

test('a step is not planned on what could not be read', () => {
  const seen = withAnswer('postconf set', { kind: 'run', exit: 124, out: '', err: '' }, AS_FOUND)
  expect(() => planOf(seen)).toThrow('postconf set ended with 124')
})
