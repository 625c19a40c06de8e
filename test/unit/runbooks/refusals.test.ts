/** What the loader refuses, with the exact place and words of each refusal. */
import { describe, expect, test } from 'vitest'
import { RunbookErrors, type RunbookFileName } from '../../../src/runbooks/index.js'
import { linesOf, load, problemsOf, replaced, smallTexts, smallWith } from './example-texts.js'

type Case = readonly [title: string, file: RunbookFileName, what: string, by: string, ...expected: RegExp[]]

const CONTROL = /allowed printable text, remove the control or invisible character$/

const CASES: readonly Case[] = [
  // shape of our own files
  [
    'an unknown key of ours, with the likely one',
    'estate',
    'timezone: UTC',
    'timezon: UTC',
    /^estate\.yaml:3:1 timezon: found the unknown key "timezon", allowed version, id, timezone, .*, did you mean timezone\?$/,
  ],
  [
    'an unknown key deep inside',
    'estate',
    'vmid: 204',
    'vmidd: 204',
    /^estate\.yaml:9:34 produced_by\.vm-204\.vzdump\.vmidd: found the unknown key "vmidd", allowed host, vmid, job, did you mean vmid\?$/,
  ],
  [
    'a wrong value of an enumeration',
    'estate',
    'kind: nas',
    'kind: nass',
    /^estate\.yaml:7:36 hosts\[1\]\.kind: found "nass", allowed one of proxmox, nas, guest, linux, did you mean nas\?$/,
  ],
  [
    'a missing key',
    'inventory',
    '    base_path: /backups/dump\n',
    '',
    /^inventory\.yaml:4:5 targets\[0\]\.base_path: found nothing, allowed an absolute path .*, add `base_path:`$/,
  ],
  [
    'a missing key of which a slip is there',
    'inventory',
    '    host: pve',
    '    hots: pve',
    /^inventory\.yaml:4:5 targets\[0\]\.host: found nothing, allowed a name .*, did you mean host where "hots" stands\?$/,
  ],
  [
    'a list where a mapping belongs',
    'estate',
    'sites: [{ id: shop }]',
    'sites: { id: shop }',
    /^estate\.yaml:4:8 sites: found a mapping of "id", allowed a list of at least 1, write it as a list: \[ … \]$/,
    /hosts\[0\]\.site/,
    /hosts\[1\]\.site/,
  ],
  ['another version', 'estate', 'version: 1', 'version: 2', /^estate\.yaml:1:10 version: found 2, allowed 1, the only version there is$/],
  ['an estate id that is no namespace name', 'estate', 'id: small', 'id: Small', /^estate\.yaml:2:5 id: found "Small", allowed small letters/],
  [
    'no producer in a producer',
    'estate',
    '{ vzdump: { host: pve, vmid: 204 } }',
    '{}',
    /^estate\.yaml:9:11 produced_by\.vm-204: found an empty mapping, allowed exactly one of vzdump, cron, timer, transfer, external$/,
  ],
  [
    'two producers in one',
    'estate',
    '{ vzdump: { host: pve, vmid: 204 } }',
    '{ external: a, vzdump: { host: pve } }',
    /^estate\.yaml:9:11 produced_by\.vm-204: found a mapping of "external", "vzdump", allowed exactly one of/,
  ],

  // values
  [
    'a boolean as YAML 1.1 has it',
    'inventory',
    'enabled: true',
    'enabled: yes',
    /^inventory\.yaml:5:14 targets\[0\]\.enabled: found "yes", allowed true or false, write true$/,
  ],
  [
    'a number in quotes',
    'inventory',
    'stale_after_hours: 30',
    'stale_after_hours: "30"',
    /^inventory\.yaml:2:47 defaults\.stale_after_hours: found "30", allowed a number of hours .*, remove the quotes$/,
  ],
  [
    'a name that is a number',
    'inventory',
    'name: vm-204',
    'name: 204',
    /^inventory\.yaml:4:11 targets\[0\]\.name: found 204, allowed a name .*, put it into quotes$/,
  ],
  [
    'negative hours',
    'inventory',
    'stale_after_hours: 30',
    'stale_after_hours: -1',
    /^inventory\.yaml:2:47 defaults\.stale_after_hours: found -1, allowed a number of hours above 0, at most 87600$/,
  ],
  ['no hours at all', 'inventory', 'stale_after_hours: 30', 'stale_after_hours: 0', /^inventory\.yaml:2:47 .*found 0, allowed a number of hours above 0/],
  [
    'an infinite number',
    'inventory',
    'stale_after_hours: 30',
    'stale_after_hours: .inf',
    /^inventory\.yaml:2:47 defaults\.stale_after_hours: found "\.inf", allowed a finite number$/,
  ],
  ['no number', 'inventory', 'stale_after_hours: 30', 'stale_after_hours: .nan', /^inventory\.yaml:2:47 .*found "\.nan", allowed a finite number$/],
  [
    'a number too big for a computer',
    'inventory',
    'stale_after_hours: 30',
    'stale_after_hours: 1e999',
    /^inventory\.yaml:2:47 .*found "1e999", allowed a finite number$/,
  ],
  [
    'an integer that would be rounded, also where nobody reads it',
    'inventory',
    'version: 1',
    'model: { n: 9007199254740993 }',
    /^inventory\.yaml:1:13 model\.n: found "9007199254740993", allowed a whole number up to 9007199254740991, quote it/,
  ],
  [
    'a date that does not exist',
    'calendar',
    '2026-02-10',
    '2026-02-30',
    /^calendar\.yaml:2:15 dtstart_date: found "2026-02-30", allowed a date that exists, written YYYY-MM-DD$/,
  ],
  [
    'a zone that does not exist',
    'estate',
    'timezone: UTC',
    'timezone: America/NewYork',
    /^estate\.yaml:3:11 timezone: found "America\/NewYork", allowed an IANA time zone .*, did you mean America\/New_York\?$/,
  ],
  ['an offset as a zone', 'estate', 'timezone: UTC', 'timezone: "+05:00"', /^estate\.yaml:3:11 timezone: found "\+05:00", allowed an IANA time zone/],
  [
    'an hour that no day has',
    'calendar',
    'byhour: 2',
    'byhour: 24',
    /^calendar\.yaml:9:13 events\[0\]\.byhour: found 24, allowed (a whole number|an hour) from 0 to 23/,
  ],
  [
    'a guest number below 100',
    'estate',
    'vmid: 204',
    'vmid: 99',
    /^estate\.yaml:9:40 produced_by\.vm-204\.vzdump\.vmid: found 99, allowed a whole number from 100 to 999999999$/,
  ],

  // metacharacters
  [
    'a shell in a glob',
    'inventory',
    '"vzdump-qemu-204-*.vma.zst"',
    '"$(reboot)"',
    /^inventory\.yaml:9:11 targets\[0\]\.glob: found "\$\(reboot\)", allowed a file pattern below base_path/,
  ],
  ['a glob that climbs out', 'inventory', '"vzdump-qemu-204-*.vma.zst"', '"../*"', /^inventory\.yaml:9:11 targets\[0\]\.glob: found "\.\.\/\*"/],
  ['a glob that starts at the root', 'inventory', '"vzdump-qemu-204-*.vma.zst"', '"/etc/*"', /^inventory\.yaml:9:11 targets\[0\]\.glob/],
  ['a glob with an open bracket', 'inventory', '"vzdump-qemu-204-*.vma.zst"', '"a[b*"', /^inventory\.yaml:9:11 targets\[0\]\.glob/],
  [
    'a path that is relative',
    'inventory',
    'base_path: /backups/dump',
    'base_path: backups/dump',
    /^inventory\.yaml:8:16 targets\[0\]\.base_path: found "backups\/dump", allowed an absolute path without `\.\.`/,
  ],
  ['a path that climbs', 'inventory', 'base_path: /backups/dump', 'base_path: /backups/../etc', /^inventory\.yaml:8:16 targets\[0\]\.base_path/],
  [
    'a path with a second command',
    'inventory',
    'base_path: /backups/dump',
    'base_path: "/backups;reboot"',
    /^inventory\.yaml:8:16 targets\[0\]\.base_path: found "\/backups;reboot"/,
  ],
  ['a path with backticks', 'inventory', 'base_path: /backups/dump', 'base_path: "/`id`"', /^inventory\.yaml:8:16 targets\[0\]\.base_path/],
  [
    'a host name that is an option',
    'estate',
    'name: nas',
    'name: -oProxyCommand=id',
    /^estate\.yaml:7:13 hosts\[1\]\.name: found "-oProxyCommand=id", allowed a name of letters/,
  ],
  [
    'a destination that is an option',
    'estate',
    '{ vzdump: { host: pve, vmid: 204 } }',
    '{ transfer: { from: pve, to: nas, match: sync, destination: -oX } }',
    /^estate\.yaml:9:71 produced_by\.vm-204\.transfer\.destination: found "-oX", allowed an SSH destination/,
  ],
  [
    'a cron piece with a pipe',
    'estate',
    '{ vzdump: { host: pve, vmid: 204 } }',
    '{ cron: { host: pve, match: "a | b" } }',
    /^estate\.yaml:9:39 produced_by\.vm-204\.cron\.match: found "a \| b", allowed a piece of the cron line/,
  ],
  [
    'a second mail header in a recipient',
    'alerts',
    'ops@example.org]',
    '"ops@example.org\\nBcc: x@example.org"]',
    /^alerts\.yaml:3:25 default\.recipients\[0\]: found "ops@example\.org\\nBcc: x@example\.org", allowed one bare mail address/,
  ],
  [
    'a mail server on a host that nobody knows',
    'alerts',
    'ops@example.org] }',
    'ops@example.org] }\nmail: { server: mail.example.org, host: pvee, username: a, password: "env:P" }',
    /^alerts\.yaml:4:\d+ mail\.host: found "?pvee"?, allowed elsewhere, or a host of estate\.yaml/,
  ],
  [
    'a recipient twice',
    'alerts',
    'ops@example.org] }',
    'ops@example.org, Ops@Example.org] }',
    /^alerts\.yaml:3:42 default\.recipients\[1\]: found "Ops@Example\.org", allowed each recipient once, it is in the list already$/,
  ],
  [
    'a condition twice in a rule',
    'alerts',
    'ops@example.org] }',
    'ops@example.org] }\nrules: [{ conditions: [blind, space, blind], severity: unknown }]',
    /^alerts\.yaml:4:38 rules\[0\]\.conditions\[2\]: found "blind", allowed each condition once/,
  ],
  [
    'a rule that another one always comes before',
    'alerts',
    'ops@example.org] }',
    'ops@example.org] }\nrules:\n  - { conditions: [blind, freshness], severity: unknown }\n  - { conditions: [space, blind], severity: critical }',
    /^alerts\.yaml:6:27 rules\[1\]\.conditions\[1\]: found "blind", allowed a condition that no earlier rule takes .*, the rule of line 5 decides first: put this one before it/,
  ],
  [
    'a token that would travel in the clear',
    'alerts',
    'ops@example.org] }',
    'ops@example.org] }\nsecond_channel: { url: "http://ntfy.example.org/n", token: "env:NTFY" }',
    /^alerts\.yaml:4:\d+ second_channel\.token: found a token for an address http:\/\/…, allowed a token only with https/,
  ],
  ['two recipients in one', 'alerts', 'ops@example.org]', '"a@example.org, b@example.org"]', /^alerts\.yaml:3:25 default\.recipients\[0\]/],
  [
    'a line end in a title, which a calendar file would read as a property',
    'calendar',
    'summary: Nightly, all of it',
    'summary: "Nightly\\nATTACH:x"',
    /^calendar\.yaml:6:14 events\[0\]\.summary: found "Nightly\\nATTACH:x", allowed a text on one line/,
  ],
  [
    'a name that every JavaScript object has',
    'inventory',
    'name: vm-204',
    'name: constructor',
    /^estate\.yaml:9:3 produced_by\.vm-204: found a producer of "vm-204"/,
    /^inventory\.yaml:4:11 targets\[0\]\.name: found "constructor"/,
  ],

  // characters
  ['a NUL as it is', 'calendar', 'Nightly', 'Night\0ly', /^calendar\.yaml:6:19: found the character U\+0000, /],
  ['a NUL by escape', 'calendar', 'Nightly, all of it', '"Night\\0ly"', CONTROL],
  ['a NUL in a comment', 'calendar', 'events:', '# a\0b\nevents:', /^calendar\.yaml:4:4: found the character U\+0000, /],
  [
    'an escape sequence of terminals',
    'inventory',
    'classification: critical',
    'description: "\\e[2J"',
    /^inventory\.yaml:10:18 targets\[0\]\.description: found the character U\+001B, /,
  ],
  [
    'a carriage return by escape',
    'inventory',
    'classification: critical',
    'description: "a\\rb"',
    /^inventory\.yaml:10:18 targets\[0\]\.description: found the character U\+000D, /,
  ],
  ['text that runs backwards', 'inventory', 'classification: critical', 'description: "a\u202eb"', /^inventory\.yaml:10:20: found the character U\+202E, /],
  ['an invisible character in a key that nobody reads', 'inventory', 'version: 1', '"mo\\u200bdel": 1', /^inventory\.yaml:1:1: found the character U\+200B, /],
  [
    'half a character',
    'inventory',
    'classification: critical',
    'description: "\\ud800"',
    /^inventory\.yaml:10:18 targets\[0\]\.description: found the character U\+D800, /,
  ],

  // YAML itself
  [
    'a key twice',
    'inventory',
    'enabled: true',
    'enabled: true\n    enabled: false',
    /^inventory\.yaml:6:5 targets\[0\]\.enabled: found "enabled" twice, allowed each key once/,
  ],
  ['a key twice where nobody reads it', 'inventory', 'version: 1', 'model: { a: 1, a: 2 }', /^inventory\.yaml:1:16 model\.a: found "a" twice/],
  [
    'a tag',
    'inventory',
    'version: 1',
    'model: !!js/function "x"',
    /^inventory\.yaml:1:8: found something that means nothing here: Unresolved tag: .*js\/function, allowed plain values, without tags/,
  ],
  [
    'a merge key, whose limit would be lost',
    'inventory',
    'enabled: true',
    '<<: { stale_after_hours: 1 }',
    /^inventory\.yaml:5:5 targets\[0\]\["<<"\]: found a merge key `<<`, allowed keys that are written out/,
  ],
  ['an alias of itself', 'inventory', 'version: 1', 'model: &m [*m]', /^inventory\.yaml:1:12 model\[0\]: found \*m, which is not complete here/],
  ['the prototype of all objects', 'inventory', 'version: 1', '__proto__: { enabled: true }', /^inventory\.yaml:1:1: found __proto__/],
  [
    'a tab as indentation',
    'inventory',
    '    enabled: true',
    '\tenabled: true',
    /^inventory\.yaml:5:1: found no valid YAML: Tabs are not allowed as indentation, allowed YAML 1\.2, indent with spaces/,
  ],
  ['YAML 1.1, where yes is true', 'inventory', 'version: 1', '%YAML 1.1\n---\nversion: 1', /^inventory\.yaml:1:1: found %YAML 1\.1, allowed YAML 1\.2/],
  ['a mapping as a key', 'inventory', 'version: 1', '{ a: 1 }: 2', /^inventory\.yaml:1:1: found a key that is no plain word/],

  // things that belong together
  [
    'a host twice',
    'estate',
    'name: nas',
    'name: pve',
    /^estate\.yaml:7:13 hosts\[1\]\.name: found the host "pve" again, allowed each host once, it stands in line 6 already$/,
  ],
  [
    'a site that is not there',
    'estate',
    'site: shop, kind: nas',
    'site: shopp, kind: nas',
    /^estate\.yaml:7:24 hosts\[1\]\.site: found "shopp", allowed a site of this file: shop, did you mean shop\?$/,
  ],
  [
    'a producer on a host that is not there',
    'estate',
    'host: pve, vmid',
    'host: pvee, vmid',
    /^estate\.yaml:9:29 produced_by\.vm-204\.vzdump\.host: found "pvee", allowed a host of kind proxmox in estate\.yaml: pve, did you mean pve\?$/,
  ],
  [
    'vzdump on a host without Proxmox',
    'estate',
    'host: pve, vmid',
    'host: nas, vmid',
    /^estate\.yaml:9:29 .*found "nas", allowed a host of kind proxmox in estate\.yaml: pve$/,
  ],
  [
    'a producer of a target that is not there',
    'estate',
    '  vm-204:',
    '  vm-2044:',
    /^estate\.yaml:9:3 produced_by\.vm-2044: found a producer of "vm-2044", allowed the name of a target of the inventory: vm-204$/,
  ],
  [
    'a guest host without its guest',
    'estate',
    'kind: nas',
    'kind: guest',
    /^estate\.yaml:7:5 hosts\[1\]\.guest: found nothing, allowed `guest: \{ host, vmid \}` for a host of kind guest/,
  ],
  [
    'a guest on what is none',
    'estate',
    'kind: nas',
    'kind: nas, guest: { host: pve, vmid: 100 }',
    /^estate\.yaml:7:41 hosts\[1\]\.guest: found guest on a host of kind "nas", allowed guest only with kind: guest$/,
  ],
  ['a node name on what has none', 'estate', 'kind: nas', 'kind: nas, node: x', /^estate\.yaml:7:41 hosts\[1\]\.node: found node on a host of kind "nas"/],
  [
    'a guest decided twice',
    'estate',
    'produced_by:',
    'guests: [{ host: pve, vmid: 101 }, { host: pve, vmid: 101 }]\nproduced_by:',
    /^estate\.yaml:8:55 guests\[1\]\.vmid: found guest 101 of "pve" again, allowed each guest once, it stands in line 8 already$/,
  ],
  [
    'a waiver without an end',
    'inventory',
    'classification: critical',
    'waiver: { reason: no room }',
    /^inventory\.yaml:10:5 targets\[0\]\.waiver\.until: found nothing, allowed a date that exists, .*, add `until:`$/,
  ],
  [
    'a waiver without a reason',
    'inventory',
    'classification: critical',
    'waiver: { reason: "", until: 2026-12-31 }',
    /^inventory\.yaml:10:23 targets\[0\]\.waiver\.reason: found "", allowed a text on one line/,
  ],
  [
    'a slip inside of what is ours in a file of theirs',
    'inventory',
    'classification: critical',
    'waiver: { reason: x, untill: 2026-12-31 }',
    /^inventory\.yaml:10:26 targets\[0\]\.waiver\.untill: found the unknown key "untill", allowed reason, until, did you mean until\?$/,
  ],
  [
    'an event of a job on no Proxmox host',
    'calendar',
    'byhour: 2',
    'job: nas/nightly',
    /^calendar\.yaml:9:10 events\[0\]\.job: found "nas", allowed a host of kind proxmox/,
  ],

  // secrets
  [
    'a password in plain text, without repeating it',
    'estate',
    'timezone: UTC',
    'timezone: UTC\nmail: { smtp_password: hunter2 }',
    /^estate\.yaml:4:1 mail: found the unknown key "mail"/,
    /^estate\.yaml:4:24 mail\.smtp_password: found a secret in plain text \(not shown\), allowed env:NAME or file:PATH/,
  ],
  [
    'a signing key instead of a reference to it',
    'estate',
    'timezone: UTC',
    'timezone: UTC\nreceipts: { signing_key: keys/receipt }',
    /^estate\.yaml:4:26 receipts\.signing_key: found .*, allowed file:PATH/,
  ],
]

describe('the loader refuses', () => {
  for (const [title, file, what, by, ...expected] of CASES) {
    test(title, () => {
      const lines = linesOf(problemsOf(smallWith(file, what, by)))
      expect(lines).toHaveLength(expected.length)
      for (const [index, pattern] of expected.entries()) expect(lines[index]).toMatch(pattern)
    })
  }

  test('a target twice, saying where the first stands', () => {
    const texts = smallTexts()
    const rows = texts.inventory.slice(texts.inventory.indexOf('  - name'))
    const lines = linesOf(problemsOf({ ...texts, inventory: texts.inventory + rows }))
    expect(lines).toEqual(['inventory.yaml:11:11 targets[1].name: found the target "vm-204" again, allowed each target once, it stands in line 4 already'])
  })

  test('a second document in one file', () => {
    const texts = smallTexts()
    const lines = linesOf(problemsOf({ ...texts, alerts: `${texts.alerts}---\nversion: 1\n` }))
    expect(lines).toEqual(['alerts.yaml:4:1: found a second document, allowed one document a file, remove the `---` and what follows'])
  })

  test('an empty file and one of comments only', () => {
    for (const inventory of ['', '# nothing yet\n', '---\n']) {
      const lines = linesOf(problemsOf({ ...smallTexts(), inventory }))
      expect(lines, JSON.stringify(inventory)).toEqual([expect.stringMatching(/^inventory\.yaml:1:1: found an empty file, allowed a mapping of settings/)])
    }
  })

  test('several mistakes in several files, all at once, in the order of the files', () => {
    const texts = smallTexts()
    const problems = problemsOf({
      estate: replaced(replaced(texts.estate, 'timezone: UTC', 'timezone: Mars/Base'), 'kind: nas', 'kind: nsa'),
      inventory: replaced(replaced(texts.inventory, 'enabled: true', 'enabled: maybe'), '/backups/dump', 'dump'),
      calendar: replaced(texts.calendar, 'freq: WEEKLY', 'freq: weekly'),
      alerts: `${texts.alerts}sendr: x\n`,
    })
    expect(problems.map((problem) => `${problem.file}:${problem.line}:${problem.column} ${problem.path}`)).toEqual([
      'estate.yaml:3:11 timezone',
      'estate.yaml:7:36 hosts[1].kind',
      'inventory.yaml:5:14 targets[0].enabled',
      'inventory.yaml:8:16 targets[0].base_path',
      'calendar.yaml:7:11 events[0].freq',
      'alerts.yaml:4:1 sendr',
    ])
    expect(problems[4]?.hint).toBe('did you mean WEEKLY?')
  })

  test('as the document that --json prints', () => {
    try {
      load(smallWith('inventory', 'enabled: true', 'enabled: on'))
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(RunbookErrors)
      expect(JSON.parse(JSON.stringify(error))).toEqual({
        schema: 'nightshift.error/1',
        errors: [{ file: 'inventory.yaml', line: 5, column: 14, path: 'targets[0].enabled', found: '"on"', allowed: 'true or false', hint: 'write true' }],
      })
    }
  })

  test('a syntax error beside a secret without repeating it', () => {
    const lines = linesOf(problemsOf(smallWith('inventory', 'version: 1', 'smtp_password: [ok]hunter2\n  "hunter2": hunter2: hunter2')))
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join()).not.toContain('hunter2')
  })

  test('a secret of ours without its text in any part of the error', () => {
    const problems = problemsOf(smallWith('estate', 'id: small', 'id: small\nsmtp_password: hunter2'))
    expect(problems.length).toBeGreaterThan(0)
    expect(JSON.stringify(problems)).not.toContain('hunter2')
  })
})
