/** Cases about mail: of nightshift itself, and of the hosts. The monitor looks at backups; these are seen by the alert desk and by the gates. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Lab } from '../../lab.js'
import { ACCOUNTS, WEBHOOK_HOST, WEBHOOK_LOG, webhookUrl } from '../../mail/names.js'
import { editConfig } from '../config-edits.js'
import { ageTo } from './files.js'
import type { DeskView, HurtCase } from './types.js'

const [, RONNY, PERSONAL] = ACCOUNTS

const HOUR = 3600
const SOON_MS = 60_000

/** The desk says that mail does not go out, how much waits and since when, and the second channel has been told. */
async function deliveryIncident(lab: Lab, product: DeskView): Promise<string[]> {
  const deadline = Date.now() + SOON_MS
  for (;;) {
    const { incidents, outbox } = await product.desk()
    const { stdout } = await lab.host(WEBHOOK_HOST).exec(['sh', '-c', `cat ${WEBHOOK_LOG} 2>/dev/null || true`])
    const problems = [
      ...(incidents.some(({ reason }) => reason === 'mail_refused') ? [] : ['no delivery incident is open']),
      ...(outbox.depth > 0 && outbox.oldestAt !== null ? [] : ['nothing waits in the outbox']),
      ...(stdout.includes('no mail: mail refused') ? [] : ['the second channel was not told']),
    ]
    if (problems.length === 0 || Date.now() > deadline) return problems
    await delay(500)
  }
}

export const MAIL_CASES: readonly HurtCase[] = [
  {
    name: 'I10',
    title: 'Alerts are queued and none is sent',
    what: 'the mail server shows a certificate that nightshift does not trust, and the newest Gitea dump is 31 hours old',
    async hurt(lab, surgery) {
      // So that nothing of an earlier staging is taken for an answer.
      await lab.host(WEBHOOK_HOST).exec(['sh', '-c', `: > ${WEBHOOK_LOG}`])
      surgery.config('alerts.yaml', (folder) =>
        editConfig(folder, 'alerts.yaml', (document) => {
          document.deleteIn(['mail', 'ca'])
          document.setIn(['second_channel', 'url'], webhookUrl(lab.record.subnet))
        }),
      )
      await ageTo(surgery, 'nas', '/volume1/backups/apps/gitea', /^gitea-db-.*\.sql\.gz$/, 31 * HOUR)
    },
    expect: [{ kind: 'target', ids: ['app-gitea'], state: 'STALE', reason: 'stale', severity: 'critical', messageIncludes: ['31 h'] }],
    newFindings: 1,
    also: deliveryIncident,
    verdict: 'critical',
  },
  {
    name: 'I22',
    title: 'Mail about backups goes straight to a personal inbox',
    what: 'root@pam on pve has a personal address, and /root/.forward on proxmox-home names it too',
    async hurt(_lab, surgery) {
      surgery.edit('pve', '/etc/pve/user.cfg', (text) => text.replace(RONNY, PERSONAL))
      surgery.edit('proxmox-home', '/root/.forward', () => `${PERSONAL}\n`)
    },
    expect: [],
    newFindings: 0,
    gates: [
      { id: 'mail-route/pve', state: 'failed', messageIncludes: ['root@pam', PERSONAL] },
      { id: 'mail-route/proxmox-home', state: 'failed', messageIncludes: ['/root/.forward', PERSONAL] },
    ],
    verdict: 'ok',
  },
]
