/**
 * What may go wrong between a pass and the mailbox, with the whole product on the lab's real mail server. What counts is what lies in the mailboxes: nothing lost,
 * nothing double.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { Document, YAMLMap, YAMLSeq } from 'yaml'
import type { LabHost } from '../../lab/host.js'
import { ACCOUNTS, MAIL_HOST, WEBHOOK_HOST, WEBHOOK_LOG, webhookUrl } from '../../lab/mail/names.js'
import type { DeskSnapshot } from '../../src/domain/desk/snapshot.js'
import { testLab } from '../support/lab.js'
import { nightshift, type RunningUp, startUp } from '../support/nightshift.js'
import { makePlace, onePass, type TestPlace } from '../support/place.js'
import { eventually } from '../support/polling.js'

const [ALERTS, RONNY, PERSONAL] = ACCOUNTS
const lab = await testLab('alert-faults')
let server: LabHost
let webhook: LabHost
let where: TestPlace
let up: RunningUp
const undo: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = lab.host(MAIL_HOST)
  webhook = lab.host(WEBHOOK_HOST)
  where = await makePlace(lab.paths.config)
  await where.edit('alerts.yaml', (document) => document.setIn(['second_channel', 'url'], webhookUrl(lab.record.subnet)))
  await staged({ per_hour: 1000 })
  up = await startUp(where, [], /A pass every/)
  await onePass(where)
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})
afterAll(async () => {
  await up?.stop()
  await where?.remove()
})

/** What the mail server answers on purpose. */
async function staged(settings: object): Promise<void> {
  await server.exec(['sh', '-c', 'cat > /etc/nightshift-lab/mail.json; rm -f /var/lib/nightshift-lab/mail/hour-* /var/lib/nightshift-lab/mail/answer-*'], {
    stdin: JSON.stringify(settings),
  })
}

const rows = (document: Document) => (document.get('targets') as YAMLSeq<YAMLMap>).items

/** Its folder is gone: a promise is broken. */
const breakTarget = (name: string) =>
  where.edit('inventory.yaml', (document) =>
    rows(document)
      .find((row) => row.get('name') === name)
      ?.set('base_path', `/nowhere/${name}`),
  )

/** Subjects of what lies in a mailbox and has the text in its subject or body, oldest first. */
async function mailsAbout(account: string, text: string): Promise<string[]> {
  const folder = `/var/mail/lab/${account.split('@').reverse().join('/')}/Maildir`
  const script = 'for f in $(ls -tr "$1"/new/* "$1"/cur/* 2>/dev/null); do grep -qF -- "$2" "$f" && sed -n "s/^Subject: //p;/^\\r*$/q" "$f"; done; true'
  const { stdout } = await server.exec(['sh', '-c', script, 'sh', folder, text])
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
}

const desk = async () => JSON.parse((await nightshift(where, ['alerts', 'list', '--json'])).stdout) as DeskSnapshot
const isSent = async () => {
  const { outbox } = await desk()
  return outbox.depth === 0
}

it('a server that is gone: the alert waits, and is there once when it is back', async () => {
  await server.exec(['systemctl', 'stop', 'postfix'])
  undo.push(() => server.exec(['systemctl', 'start', 'postfix']))
  await breakTarget('app-vaultwarden')
  await onePass(where)
  await eventually('an attempt', async () => (await desk()).outbox.lastReply !== null)
  expect((await desk()).outbox.depth).toBe(1)
  await server.exec(['systemctl', 'start', 'postfix'])
  await eventually('the mail', async () => (await mailsAbout(RONNY, 'app-vaultwarden')).length > 0, 150_000)
  await eventually('an empty outbox', isSent)
  expect(await mailsAbout(RONNY, 'app-vaultwarden')).toHaveLength(1)
})

it('one of three recipients refused: the others have it once, and the second channel tells', async () => {
  await where.edit('alerts.yaml', (document) => document.setIn(['default', 'recipients'], [...ACCOUNTS]))
  undo.push(() => where.edit('alerts.yaml', (document) => document.setIn(['default', 'recipients'], [RONNY])))
  await staged({ per_hour: 1000, answers: [{ recipient: 'personal', text: '550 5.1.1 no such user' }] })
  undo.push(() => staged({ per_hour: 1000 }))
  await breakTarget('app-gitea')
  await onePass(where)
  for (const account of [ALERTS, RONNY]) await eventually(`a mail for ${account}`, async () => (await mailsAbout(account, 'CRITICAL app-gitea')).length > 0)
  await eventually('the second channel', async () => {
    const { stdout } = await webhook.exec(['sh', '-c', `cat ${WEBHOOK_LOG} 2>/dev/null || true`])
    return stdout.includes('app-gitea')
  })
  for (const account of [ALERTS, RONNY]) expect(await mailsAbout(account, 'CRITICAL app-gitea:')).toHaveLength(1)
  expect(await mailsAbout(PERSONAL, 'app-gitea')).toEqual([])
})

it('a server that hangs after DATA and takes the message in the end: found in the mailbox, not sent again', { timeout: 240_000 }, async () => {
  // Longer than an answer is waited for: the server keeps the message when nobody listens any more.
  await staged({ per_hour: 1000, answers: [{ stage: 'END-OF-MESSAGE', text: 'DUNNO', times: 1, seconds: 75 }] })
  undo.push(() => staged({ per_hour: 1000 }))
  await breakTarget('app-firefly')
  await onePass(where)
  await eventually('the mail', async () => (await mailsAbout(RONNY, 'app-firefly')).length > 0, 150_000)
  await eventually('an empty outbox', isSent, 150_000)
  expect(await mailsAbout(RONNY, 'app-firefly')).toHaveLength(1)
  expect((await desk()).totals.duplicatesPossible).toBe(0)
})

it('500 targets that fail at once are one mail, and one more when all of them are back', async () => {
  const names = Array.from({ length: 500 }, (_, index) => `bulk-${index}`)
  const good = await where.read('inventory.yaml')
  const bulk = (basePath: (name: string) => string | null) =>
    where.edit('inventory.yaml', (document) => {
      const model = rows(document).find((row) => row.get('name') === 'app-paperless-db')
      if (model === undefined) throw new Error('the example has no app-paperless-db')
      for (const name of names) {
        const row = model.clone() as YAMLMap
        row.set('name', name)
        const elsewhere = basePath(name)
        if (elsewhere !== null) row.set('base_path', elsewhere)
        rows(document).push(row)
      }
    })
  await where.edit('estate.yaml', (document) => {
    for (const name of names) document.setIn(['produced_by', name], { external: 'many of them' })
  })
  await bulk((name) => `/nowhere/${name}`)
  const broken = await onePass(where)
  expect(broken.targets.filter(({ id, severity }) => id.startsWith('bulk-') && severity === 'critical')).toHaveLength(500)
  await eventually('the mail', async () => (await mailsAbout(RONNY, 'bulk-')).length > 0)
  await eventually('an empty outbox', isSent)
  expect(await mailsAbout(RONNY, 'bulk-')).toHaveLength(1)

  await where.write('inventory.yaml', good)
  await bulk(() => null)
  await onePass(where)
  await eventually('the mail that it is over', async () => (await mailsAbout(RONNY, 'bulk-')).length > 1)
  await eventually('an empty outbox', isSent)
  expect(await mailsAbout(RONNY, 'bulk-')).toHaveLength(2)
})
