/**
 * The application dumps: who makes them, when, under which name, where they end up. Data only.
 */

export type DumpFormat = 'sql.gz' | 'tar.gz' | 'zip' | 'manifest'

export interface LabApp {
  /** Name of the inventory's target. */
  readonly target: string
  /** The host that makes the dump. */
  readonly producer: string
  /** The host and folder where the files end up. */
  readonly keeper: string
  readonly folder: string
  /** Owner of the files there. */
  readonly owner: string
  /** In front of the time stamp in a file's name (a folder's name for `manifest`). */
  readonly prefix: string
  readonly format: DumpFormat
  readonly hour: number
  readonly minute: number
  /** The program on the producer. */
  readonly script: string
  /** What the script gets told; `nas:…` is copied over SSH. */
  readonly argument: string
  /** How it is started. */
  readonly start: { readonly kind: 'cron'; readonly file: string; readonly user: string } | { readonly kind: 'timer'; readonly unit: string }
  /** The rows of a year ago and of today: dumps grow. */
  readonly rows: readonly [number, number]
  readonly tables: readonly string[]
}

export const NAS_USER = 'backup-admin'
const APPS_ON_NAS = '/volume1/backups/apps'

interface NasApp {
  readonly app: string
  readonly producer: string
  readonly folder: string
  readonly prefix: string
  readonly format: DumpFormat
  readonly at: readonly [hour: number, minute: number]
  readonly script: string
  readonly cronFile: string
  readonly rows: readonly [number, number]
  readonly tables: readonly string[]
}

function onNas({ app, producer, folder, prefix, format, at, script, cronFile, rows, tables }: NasApp): LabApp {
  const path = `${APPS_ON_NAS}/${folder}`
  return {
    target: `app-${app}`,
    producer,
    keeper: 'nas',
    folder: path,
    owner: NAS_USER,
    prefix,
    format,
    hour: at[0],
    minute: at[1],
    script,
    argument: `nas:${path}`,
    start: { kind: 'cron', file: `/etc/cron.d/${cronFile}`, user: 'root' },
    rows,
    tables,
  }
}

const FINANCE = { producer: 'finance-stack', cronFile: 'finance-backup' } as const
const financeScript = (name: string) => `/opt/stacks/finance/bin/${name}`

export const APPS: readonly LabApp[] = [
  {
    target: 'app-mail-archiver',
    producer: 'communications-stack',
    keeper: 'communications-stack',
    folder: '/srv/mail-archiver/backups',
    owner: 'root',
    prefix: 'mail-archiver-db-',
    format: 'sql.gz',
    hour: 2,
    minute: 20,
    script: '/usr/local/bin/mail-archiver-backup',
    argument: '/srv/mail-archiver/backups',
    start: { kind: 'cron', file: '/etc/cron.d/mail-archiver-backup', user: 'root' },
    rows: [160, 420],
    tables: ['archived_emails', 'attachments', 'mail_accounts'],
  },
  onNas({
    app: 'vaultwarden',
    producer: 'infra-core',
    folder: 'vaultwarden',
    prefix: 'vaultwarden-',
    format: 'tar.gz',
    at: [2, 45],
    script: '/usr/local/bin/vaultwarden-backup',
    cronFile: 'vaultwarden-backup',
    rows: [90, 130],
    tables: ['users', 'ciphers', 'folders'],
  }),
  onNas({
    app: 'infisical',
    producer: 'infra-core',
    folder: 'infisical',
    prefix: 'infisical-db-',
    format: 'sql.gz',
    at: [2, 50],
    script: '/usr/local/bin/infisical-backup',
    cronFile: 'infisical-backup',
    rows: [120, 260],
    tables: ['organizations', 'projects', 'secrets', 'secret_versions'],
  }),
  onNas({
    app: 'gitea',
    producer: 'dev-tools',
    folder: 'gitea',
    prefix: 'gitea-db-',
    format: 'sql.gz',
    at: [2, 55],
    script: '/usr/local/bin/gitea-backup',
    cronFile: 'gitea-backup',
    rows: [140, 300],
    tables: ['repository', 'issue', 'action', 'user'],
  }),
  onNas({
    ...FINANCE,
    app: 'firefly',
    folder: 'finance',
    prefix: 'firefly-db-',
    format: 'sql.gz',
    at: [6, 20],
    script: financeScript('firefly-db-backup'),
    rows: [200, 380],
    tables: ['accounts', 'transactions', 'transaction_journals', 'budgets'],
  }),
  onNas({
    ...FINANCE,
    app: 'ghostfolio',
    folder: 'ghostfolio',
    prefix: 'ghostfolio-db-',
    format: 'sql.gz',
    at: [6, 25],
    script: financeScript('ghostfolio-db-backup'),
    rows: [80, 150],
    tables: ['Account', 'Order', 'MarketData'],
  }),
  onNas({
    ...FINANCE,
    app: 'paperless-db',
    folder: 'paperless',
    prefix: 'paperless-db-',
    format: 'sql.gz',
    at: [6, 30],
    script: financeScript('paperless-db-backup'),
    rows: [110, 240],
    tables: ['documents_document', 'documents_tag', 'documents_correspondent'],
  }),
  onNas({
    ...FINANCE,
    app: 'paperless-export',
    folder: 'paperless',
    prefix: 'paperless-export-',
    format: 'zip',
    at: [6, 35],
    script: financeScript('paperless-export-backup'),
    rows: [40, 95],
    tables: ['manifest'],
  }),
  {
    target: 'app-n8n-workflows',
    producer: 'automation-stack',
    keeper: 'automation-stack',
    folder: '/home/automation/backups/n8n-workflows',
    owner: 'automation',
    prefix: '',
    format: 'manifest',
    hour: 3,
    minute: 10,
    script: '/home/automation/bin/n8n-workflow-backup',
    argument: '',
    start: { kind: 'cron', file: '/var/spool/cron/crontabs/automation', user: '' },
    rows: [12, 31],
    tables: ['workflow'],
  },
  {
    target: 'app-media-config-download-stack',
    producer: 'download-stack',
    keeper: 'download-stack',
    folder: '/mnt/docker/backups/media-config',
    owner: 'root',
    prefix: 'download-stack-config-',
    format: 'tar.gz',
    hour: 3,
    minute: 45,
    script: '/usr/local/bin/media-config-backup',
    argument: '/mnt/docker/backups/media-config',
    start: { kind: 'cron', file: '/etc/cron.d/media-config-backup', user: 'root' },
    rows: [60, 88],
    tables: ['sonarr', 'radarr', 'prowlarr', 'sabnzbd'],
  },
  {
    target: 'app-media-config-streaming-stack',
    producer: 'streaming-stack',
    keeper: 'streaming-stack',
    folder: '/mnt/docker/backups/media-config',
    owner: 'root',
    prefix: 'streaming-stack-config-',
    format: 'tar.gz',
    hour: 3,
    minute: 45,
    script: '/usr/local/bin/media-config-backup',
    argument: '/mnt/docker/backups/media-config',
    start: { kind: 'timer', unit: 'media-config-backup' },
    rows: [50, 74],
    tables: ['jellyfin', 'jellyseerr', 'tautulli'],
  },
]

export function appOf(target: string): LabApp {
  const app = APPS.find((one) => one.target === target)
  if (app === undefined) throw new Error(`no application dump for target ${target} in the lab's estate`)
  return app
}
