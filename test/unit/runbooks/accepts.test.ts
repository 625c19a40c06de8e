/** What the loader makes of good files: limits, defaults, the operator's own keys, warnings that stop nothing, and the digest. */
import { describe, expect, test } from 'vitest'
import { formatProblem } from '../../../src/runbooks/index.js'
import { exampleTexts, linesOf, load, problemsOf, replaced, smallTexts, smallWith } from './example-texts.js'

function warningsOf(texts: ReturnType<typeof smallTexts>): string[] {
  return load(texts).warnings.map(formatProblem)
}

describe('freshness limits, in seconds', () => {
  const limitWith = (by: string): number | undefined => load(smallWith('inventory', '    classification: critical\n', by)).inventory.targets[0]?.limitSeconds

  test.each([
    ['critical', 26],
    ['important', 48],
    ['rebuildable', 168],
  ])('of the classification %s: %i h', (classification, hours) => {
    expect(limitWith(`    classification: ${classification}\n`)).toBe(hours * 3600)
  })

  test('of the target itself before the classification', () => {
    expect(limitWith('    classification: rebuildable\n    stale_after_hours: 26\n')).toBe(26 * 3600)
  })

  test('of the defaults where the target says nothing', () => {
    expect(limitWith('')).toBe(30 * 3600)
  })

  test('the strictest where nobody says anything', () => {
    const texts = smallWith('inventory', '    classification: critical\n', '')
    expect(load({ ...texts, inventory: replaced(texts.inventory, ', stale_after_hours: 30', '') }).inventory.targets[0]?.limitSeconds).toBe(26 * 3600)
  })

  test('with fractions of an hour', () => {
    expect(limitWith('    stale_after_hours: 0.25\n')).toBe(900)
  })
})

describe("the operator's files", () => {
  test('keep unknown keys of any shape without a word', () => {
    const texts = smallTexts()
    const model =
      'model:\n  200: { nested: [1, { deep: [~, "x, y; $(z)"] }] }\n  data_classes: [a, b]\nruntime_units: nothing yet\nnotes: |\n  several\n  lines\n'
    const set = load({ ...texts, inventory: `${replaced(texts.inventory, '    enabled: true', '    enabled: true\n    owner: ronny\n    tier: 1')}${model}` })
    expect(set.warnings).toEqual([])
    expect(set.inventory.targets[0]?.id).toBe('vm-204')
  })

  test('are watched where `enabled` is left out', () => {
    expect(load(smallWith('inventory', '    enabled: true\n', '')).inventory.targets[0]?.enabled).toBe(true)
  })

  test('may leave a description empty', () => {
    expect(load(smallWith('inventory', 'classification: critical', 'description:')).inventory.targets[0]?.description).toBeUndefined()
  })

  test('may write one hour or several', () => {
    expect(load(smallWith('calendar', 'byhour: 2', 'byhour: [2, 14]')).calendar.events[0]?.byHour).toEqual([2, 14])
    expect(load(smallTexts()).calendar.events[0]?.byHour).toEqual([2])
  })

  test('load with an `enabled` that is misspelt, and say so', () => {
    expect(warningsOf(smallWith('inventory', 'enabled: true', 'enabeld: false'))).toEqual([
      'inventory.yaml:5:5 targets[0].enabeld: found the unknown key "enabeld", which is not read, allowed name, enabled, kind, host, base_path, glob, stale_after_hours, classification, description, waiver, decommissioned, did you mean enabled?',
    ])
  })

  test.each([
    ['inventory', 'classification: critical', 'stale_after_hour: 1', 'stale_after_hours'],
    ['inventory', 'classification: critical', 'Stale-After-Hours: 1', 'stale_after_hours'],
    ['inventory', 'classification: critical', 'clasification: critical', 'classification'],
    ['inventory', 'classification: critical', 'wavier: { reason: x, until: 2026-12-31 }', 'waiver'],
    ['inventory', 'defaults:', 'default:', 'defaults'],
    ['calendar', 'byday: SU', 'byday: SU\n    bymonth_day: 3', 'bymonthday'],
  ] as const)('warn of a slip of the pen in %s: %s → %s', (file, what, by, meant) => {
    expect(warningsOf(smallWith(file, what, by)).join()).toContain(`did you mean ${meant}?`)
  })

  test('warn of a secret in plain text without repeating it, and accept a reference', () => {
    const [line] = warningsOf(smallWith('inventory', 'version: 1', 'model: { smtp_password: hunter2, token: env:TOKEN }'))
    expect(line).toMatch(/^inventory\.yaml:1:25 model\.smtp_password: found a secret in plain text \(not shown\), allowed env:NAME or file:PATH/)
    expect(line).not.toContain('hunter2')
    expect(warningsOf(smallWith('inventory', 'version: 1', 'model: { token: env:TOKEN }'))).toEqual([])
  })

  test('say nothing of a key that only resembles one that is there as well', () => {
    expect(warningsOf(smallWith('inventory', 'enabled: true', 'enabled: true\n    hosts: [a, b]'))).toEqual([])
  })

  test('keep a target on an unknown host, with a warning', () => {
    const set = load(smallWith('inventory', 'host: pve', 'host: pev'))
    expect(set.inventory.targets[0]?.host).toBe('pev')
    expect(set.warnings.map(formatProblem)).toEqual([
      'inventory.yaml:7:11 targets[0].host: found "pev", allowed a host of estate.yaml: pve, nas, did you mean pve?',
    ])
  })

  test('load with nothing enabled and with no target at all, with a warning', () => {
    expect(warningsOf(smallWith('inventory', 'enabled: true', 'enabled: false'))).toEqual([
      expect.stringContaining('inventory.yaml:3:1 targets: found no enabled target'),
    ])
    const texts = { ...smallTexts(), inventory: 'targets: []\n' }
    expect(warningsOf({ ...texts, estate: texts.estate.slice(0, texts.estate.indexOf('produced_by:')) })).toEqual([
      expect.stringContaining('nothing is watched'),
    ])
  })

  test('load with a weekly event without its day (incident I15), with a warning', () => {
    expect(warningsOf(smallWith('calendar', '    byday: SU\n', ''))).toEqual([
      expect.stringMatching(/^calendar\.yaml:7:5 events\[0\]\.freq: found a weekly event without byday/),
    ])
    expect(warningsOf(smallWith('calendar', 'freq: WEEKLY\n    byday: SU', 'freq: MONTHLY'))).toEqual([
      expect.stringMatching(/found a monthly event without bymonthday/),
    ])
  })

  test('take a waiver with reason and last day', () => {
    const set = load(smallWith('inventory', 'classification: critical', 'waiver: { reason: "no room, until fibre", until: 2026-12-31 }'))
    expect(set.inventory.targets[0]?.waiver).toEqual({ reason: 'no room, until fibre', until: '2026-12-31' })
  })

  test('take globs with `*`, `?`, brackets, and folders below', () => {
    for (const glob of ['*', '*/manifest.txt', 'db-??.sql.gz', 'a-[0-9]*.tar', '[!.]*', 'Größe *.zip']) {
      expect(load(smallWith('inventory', 'vzdump-qemu-204-*.vma.zst', glob)).inventory.targets[0]?.glob).toBe(glob)
    }
  })

  test('may share text by anchors', () => {
    const set = load(smallWith('inventory', 'base_path: /backups/dump', 'base_path: &dump /backups/dump\n    note: *dump'))
    expect(set.inventory.targets[0]?.basePath).toBe('/backups/dump')
  })
})

describe('text files of other editors', () => {
  test.each([
    ['a byte order mark', (text: string) => `\ufeff${text}`],
    ['carriage returns', (text: string) => text.replaceAll('\n', '\r\n')],
    ['no line end at the end', (text: string) => text.trimEnd()],
    ['a document start and end', (text: string) => `---\n${text}...\n`],
  ])('load with %s and mean the same', (_, change) => {
    const texts = smallTexts()
    const changed = { estate: change(texts.estate), inventory: change(texts.inventory), calendar: change(texts.calendar), alerts: change(texts.alerts) }
    expect(linesOf(problemsOf(changed))).toEqual([])
    expect(load(changed).digest).toBe(load(texts).digest)
  })

  test('keep right places with a byte order mark and carriage returns', () => {
    const texts = smallWith('inventory', 'enabled: true', 'enabled: maybe')
    const [line] = linesOf(problemsOf({ ...texts, inventory: `\ufeff${texts.inventory.replaceAll('\n', '\r\n')}` }))
    expect(line).toMatch(/^inventory\.yaml:5:14 targets\[0\]\.enabled/)
  })
})

describe('the estate', () => {
  test('has its defaults', () => {
    const { estate, inventory, alerts } = load(smallTexts())
    expect(estate.monitor).toEqual({ periodSeconds: 600, maxHostsAtOnce: 8, hostDeadlineSeconds: 60 })
    expect(estate.ssh).toEqual({ configPath: '/etc/nightshift/ssh_config', knownHostsPaths: ['/etc/nightshift/known_hosts'] })
    expect(estate.receipts).toEqual({ signingKeyPath: '/etc/nightshift/keys/receipt_ed25519', headMirrorPath: '/etc/nightshift/receipt-head.json' })
    expect(estate.hosts).toEqual([
      { name: 'pve', site: 'shop', kind: 'proxmox', node: 'pve', sshAlias: 'pve', sudo: false },
      { name: 'nas', site: 'shop', kind: 'nas', sshAlias: 'nas', sudo: false },
    ])
    expect(inventory.sshTimeoutSeconds).toBe(6)
    expect(alerts).toEqual({
      sender: 'alerts@example.org',
      defaultRoute: { recipients: ['ops@example.org'], repeatHours: 24 },
      rules: [],
      digestTime: '07:30',
      unknownAfterMinutes: 30,
      flapping: { windowHours: 12, enterChanges: 6, leaveChanges: 2 },
      limits: { mailsPerHour: 20, openPerSite: 500 },
    })
  })

  test.each([
    ['{ cron: { host: nas, match: "backup.sh --all" } }', { kind: 'cron', host: 'nas', match: 'backup.sh --all' }],
    ['{ timer: { host: nas, unit: backup@app.timer } }', { kind: 'timer', host: 'nas', unit: 'backup@app.timer' }],
    [
      '{ transfer: { from: pve, to: nas, match: sync, destination: admin@nas } }',
      { kind: 'transfer', from: 'pve', to: 'nas', match: 'sync', destination: 'admin@nas' },
    ],
    ['{ external: by hand }', { kind: 'external', description: 'by hand' }],
    ['{ vzdump: { host: pve, job: nightly } }', { kind: 'vzdump', host: 'pve', job: 'nightly' }],
  ])('knows the producer %s', (yaml, producer) => {
    expect(load(smallWith('estate', '{ vzdump: { host: pve, vmid: 204 } }', yaml)).estate.producedBy['vm-204']).toEqual(producer)
  })

  test('gives a rule the sender and the recipients of the default where it has none', () => {
    const { alerts } = load({ ...smallTexts(), alerts: `${smallTexts().alerts}rules: [{ conditions: [blind], severity: unknown, repeat_hours: 48 }]\n` })
    expect(alerts.rules).toEqual([
      { conditions: ['blind'], severity: 'unknown', sender: 'alerts@example.org', recipients: ['ops@example.org'], repeatHours: 48 },
    ])
  })

  test('takes a condition in two rules where the later one is for what is less severe', () => {
    const rules = 'rules: [{ conditions: [space], severity: critical }, { conditions: [space], severity: warning, repeat_hours: 72 }]\n'
    expect(load({ ...smallTexts(), alerts: `${smallTexts().alerts}${rules}` }).alerts.rules.map(({ repeatHours }) => repeatHours)).toEqual([24, 72])
  })

  test('knows the mail server and the second channel, with references made absolute and the usual ports', () => {
    const delivery = [
      'mail: { server: mail.example.org, security: starttls, ca: tls/ca.pem, username: alerts, password: "file:secrets/mail",',
      '  mailbox: { address: ops@example.org, username: ops, password: "env:OPS_MAIL" } }',
      'second_channel: { url: "file:secrets/ntfy" }',
    ]
    const { alerts } = load({ ...smallTexts(), alerts: `${smallTexts().alerts}${delivery.join('\n')}\n` })
    expect(alerts.mail).toEqual({
      server: 'mail.example.org',
      port: 587,
      security: 'starttls',
      caPath: '/etc/nightshift/tls/ca.pem',
      username: 'alerts',
      password: 'file:/etc/nightshift/secrets/mail',
      mailbox: {
        address: 'ops@example.org',
        server: 'mail.example.org',
        port: 993,
        username: 'ops',
        password: 'env:OPS_MAIL',
        folders: ['INBOX', 'Junk'],
      },
    })
    expect(alerts.secondChannel).toEqual({ url: 'file:/etc/nightshift/secrets/ntfy' })
  })

  test.each([
    ['a password where a reference belongs', 'mail: { server: m, username: u, password: hunter2 }', 'mail.password'],
    ['a password inside the address of the second channel', 'second_channel: { url: "https://me:secret@ntfy.example" }', 'second_channel.url'],
    ['repeats oftener than once a day', 'rules: [{ conditions: [blind], severity: unknown, repeat_hours: 23 }]', 'rules[0].repeat_hours'],
    ['flapping that would end before it begins', 'flapping: { enter_changes: 4, leave_changes: 4 }', 'flapping.leave_changes'],
    ['a rule with an unknown condition', 'rules: [{ conditions: [weather], severity: unknown }]', 'rules[0].conditions[0]'],
  ])('refuses %s', (_what, line, path) => {
    const lines = linesOf(problemsOf({ ...smallTexts(), alerts: `${smallTexts().alerts}${line}\n` }))
    expect(lines.join('\n')).toContain(path)
    expect(lines.join('\n')).not.toMatch(/hunter2|me:secret/)
  })
})

describe('the digest', () => {
  test('does not change with comments, order and layout', () => {
    const texts = smallTexts()
    const moved = replaced(texts.inventory, '    enabled: true\n    kind: file_glob', '    kind: file_glob\n\n    enabled: true # always')
    expect(load({ ...texts, inventory: moved }).digest).toBe(load(texts).digest)
  })

  test('changes with every value of every file, also with one that is not read', () => {
    const digests = [
      smallTexts(),
      smallWith('estate', 'id: small', 'id: smaller'),
      smallWith('inventory', 'enabled: true', 'enabled: false'),
      smallWith('inventory', 'version: 1', 'version: 1\nmodel: { a: 1 }'),
      smallWith('calendar', 'byhour: 2', 'byhour: 3'),
      smallWith('alerts', 'alerts@', 'alert@'),
    ].map((texts) => load(texts).digest)
    expect(new Set(digests).size).toBe(digests.length)
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{64}$/)
  })

  test('of the example is one over all four files', () => {
    expect(load(exampleTexts()).digest).toBe(load(exampleTexts()).digest)
    expect(load({ ...exampleTexts(), alerts: smallTexts().alerts }).digest).not.toBe(load(exampleTexts()).digest)
  })
})
