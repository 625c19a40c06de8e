/** Cases about who makes the artifacts: cron lines, timers, transfers, and the trust between hosts. */
import { revokeTrust } from '../../trust.js'
import { OFFSITE_CRON, OFFSITE_FOLDER } from '../offsite.js'
import { ageTo } from './files.js'
import type { HurtCase } from './types.js'

const DAY = 86_400

export const PRODUCER_CASES: readonly HurtCase[] = [
  {
    name: 'I3',
    title: 'Offsite copies that nobody ever set up',
    what: 'the offsite folder on the NAS is empty, pve has no transfer job, and the NAS refuses pve’s key',
    async hurt(lab, surgery) {
      surgery.emptyFolder('nas', OFFSITE_FOLDER)
      surgery.remove('pve', OFFSITE_CRON)
      await surgery.fault('trust', 'pve', async () => revokeTrust(lab.host('pve'), lab.host('nas')), 'nas')
    },
    expect: [
      {
        kind: 'target',
        ids: ['vm-offsite-critical'],
        state: 'MISSING',
        reason: 'never_synced',
        severity: 'critical',
        messageIncludes: ['nothing has ever', 'no transfer', 'refuse'],
      },
    ],
    verdict: 'critical',
  },
  {
    name: 'I4',
    title: 'The dump job of a service stayed behind',
    what: 'dev-tools has no cron line for Gitea any more and the newest dump is three days old',
    async hurt(_lab, surgery) {
      surgery.remove('dev-tools', '/etc/cron.d/gitea-backup')
      await ageTo(surgery, 'nas', '/volume1/backups/apps/gitea', /^gitea-db-.*\.sql\.gz$/, 3 * DAY)
    },
    expect: [
      { kind: 'target', ids: ['app-gitea'], state: 'FAILED', reason: 'producer_gone', severity: 'critical', messageIncludes: ['gitea-backup', 'dev-tools'] },
    ],
    verdict: 'critical',
  },
  {
    name: 'cron-removed',
    title: 'A cron line is gone while the last dump is still fresh',
    what: 'the crontab line of the n8n export on automation-stack is commented out',
    async hurt(_lab, surgery) {
      surgery.edit('automation-stack', '/var/spool/cron/crontabs/automation', (text) => text.replace(/^(.*n8n-workflow-backup.*)$/m, '#$1'))
    },
    expect: [
      {
        kind: 'target',
        ids: ['app-n8n-workflows'],
        state: 'FAILED',
        reason: 'producer_gone',
        severity: 'critical',
        messageIncludes: ['n8n-workflow-backup', 'automation-stack'],
      },
    ],
    verdict: 'critical',
  },
  {
    name: 'timer-stopped',
    title: 'A timer is switched off',
    what: 'media-config-backup.timer on streaming-stack is stopped',
    async hurt(lab, surgery) {
      const unit = 'media-config-backup.timer'
      await surgery.fault('unit', 'streaming-stack', async () => void (await lab.host('streaming-stack').exec(['systemctl', 'stop', unit])), unit)
    },
    expect: [
      { kind: 'target', ids: ['app-media-config-streaming-stack'], state: 'FAILED', reason: 'producer_gone', messageIncludes: ['media-config-backup.timer'] },
    ],
    verdict: 'critical',
  },
  {
    name: 'ssh-trust-broken',
    title: 'The source of a transfer is not let in any more',
    what: 'the NAS refuses the key of pve; the cron line is there and the last copies are fresh',
    async hurt(lab, surgery) {
      await surgery.fault('trust', 'pve', async () => revokeTrust(lab.host('pve'), lab.host('nas')), 'nas')
    },
    expect: [{ kind: 'target', ids: ['vm-offsite-critical'], state: 'FAILED', severity: 'critical', messageIncludes: ['refuse'] }],
    verdict: 'critical',
  },
]
