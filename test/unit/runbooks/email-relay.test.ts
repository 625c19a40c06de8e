/** `email-relay.yaml`: what it means when loaded, and what is refused. */
import { describe, expect, test } from 'vitest'
import { exampleTexts, exampleWith, linesOf, load, problemsOf } from './example-texts.js'

describe('email-relay.yaml', () => {
  test('gives the password as a reference with an absolute path, and what is left out its default', () => {
    const { emailRelay } = load(exampleWith('emailRelay', 'watch: { until: time, days: 7, every_minutes: 60 }\n', ''))
    expect(emailRelay?.relay).toMatchObject({
      port: 465,
      password: 'file:/etc/nightshift/secrets/alerts@spine.ronny.works',
      receivedBy: 'mail.spine.ronny.works',
    })
    expect(emailRelay?.watch).toEqual({ until: 'time', days: 7, everyMinutes: 60 })
    expect(emailRelay?.hosts.map(({ host, mode, oldQueue }) => [host, mode, oldQueue])).toEqual([
      ['pve', 'relay', 'keep'],
      ['proxmox-home', 'relay', 'keep'],
    ])
  })

  test('names who says that nightshift has gone silent', () => {
    const [watcher] = load(exampleTexts()).emailRelay?.watchers ?? []
    expect(watcher).toMatchObject({ watches: 'shop', host: 'proxmox-home', mailTo: 'ronny@spine.ronny.works', webhook: null })
    expect(watcher?.place).toMatch(/^email-relay\.yaml:\d+$/)
  })

  test('may be missing: the rest loads, and its digest is another', () => {
    const { emailRelay: _, ...rest } = exampleTexts()
    expect(load(rest).emailRelay).toBeUndefined()
    expect(load(rest).digest).not.toBe(load(exampleTexts()).digest)
  })

  const exception = (row: string) => ['exceptions: []', `exceptions:\n  - { ${row} }`] as const
  const watcher = (row: string) => ['- { watches: shop, host: proxmox-home, mail_to: ronny@spine.ronny.works }', `- { ${row} }`] as const
  const REFUSALS: readonly [title: string, what: string, by: string, expected: RegExp][] = [
    ['a host that is no Proxmox host', '- { host: pve, ', '- { host: nas, ', /hosts\[0\]\.host: found "nas", allowed a host of kind proxmox/],
    ['a host twice', '- { host: proxmox-home, ', '- { host: pve, mode: relay }\n  - { host: proxmox-home, ', /hosts\[1\]\.host: found the host "pve" again/],
    [
      'the password itself',
      'password: "file:secrets/alerts@spine.ronny.works"',
      'password: hunter2',
      /relay\.password: found a secret in plain text \(not shown\)/,
    ],
    ['an unknown mode', 'mode: relay, old_queue: keep }\n  - { host: proxmox', 'mode: direct, old_queue: keep }\n  - { host: proxmox', /mode: found "direct"/],
    [
      'an exception of a host that is not there',
      ...exception('host: pvee, channel: targets, place: x, reason: y, until: 2027-01-01'),
      /exceptions\[0\]\.host: found "pvee", allowed a host of this file/,
    ],
    [
      'an exception of a channel that does not exist',
      ...exception('host: pve, channel: target, place: x, reason: y, until: 2027-01-01'),
      /channel: found "target".*did you mean targets/,
    ],
    [
      'a watcher beside what it watches',
      ...watcher('watches: home, host: proxmox-home, mail_to: a@b.example'),
      /watcher\[0\]\.host: found a host of site "?home"?, allowed a host of another site/,
    ],
    ['a watcher without a way to say it', ...watcher('watches: shop, host: proxmox-home'), /watcher\[0\]\.mail_to: .*allowed a way to say it/],
    [
      'a watcher of a site that is not there',
      ...watcher('watches: shopp, host: proxmox-home, mail_to: a@b.example'),
      /watches: found "shopp".*did you mean shop/,
    ],
    [
      'a watcher that is no host of this file',
      ...watcher('watches: shop, host: nas, mail_to: a@b.example'),
      /watcher\[0\]\.host: found "nas", allowed a host of this file/,
    ],
    [
      'a secret address, which the script could not keep',
      ...watcher('watches: shop, host: proxmox-home, webhook: "env:HOOK"'),
      /webhook: .*allowed an address https/,
    ],
    ['more people needed than there are', '  needed: 1', '  needed: 2', /approval\.needed: found 2, allowed at most the 1 different approvers/],
  ]
  for (const [title, what, by, expected] of REFUSALS) {
    test(`refuses ${title}, and nothing else`, () => {
      const lines = linesOf(problemsOf(exampleWith('emailRelay', what, by)))
      expect(lines).toEqual([expect.stringMatching(expected)])
      expect(lines.join()).not.toContain('hunter2')
    })
  }
})
