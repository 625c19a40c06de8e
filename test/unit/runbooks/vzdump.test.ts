/** `vzdump.yaml`: what it means when loaded, and what is refused. */
import { describe, expect, test } from 'vitest'
import { exampleTexts, exampleWith, linesOf, load, problemsOf } from './example-texts.js'

const hostOf = (host: string, texts = exampleTexts()) => load(texts).vzdump?.hosts.find((each) => each.host === host)

describe('vzdump.yaml', () => {
  test('gives jobs their guests in order, retention by the names of Proxmox, and their place in the file', () => {
    const job = hostOf('proxmox-home')?.jobs[1]
    expect(job).toMatchObject({ id: 'backup-home-p2-weekly', tier: 'P2', guests: [105], schedule: 'sun 04:00', scheduled: true, retention: { 'keep-last': 2 } })
    const line = Number(job?.place.split(':')[1])
    expect(exampleTexts().vzdump.split('\n')[line - 1]).toContain('- id: backup-home-p2-weekly')
  })

  test('names the fields that are not ours as Proxmox names them', () => {
    const texts = exampleWith('vzdump', 'not_owned: [comment, notes_template]', 'not_owned: [retention, mail_notification, repeat_missed]')
    expect(hostOf('pve', texts)?.notOwned).toEqual(['prune-backups', 'mailnotification', 'repeat-missed'])
  })

  test('leaves comments and notes to people where nothing is said about them', () => {
    const texts = exampleWith('vzdump', '    not_owned: [comment, notes_template]\n', '')
    expect(hostOf('pve', texts)?.notOwned).toEqual(['comment', 'notes-template'])
  })

  test('never pre-approves the removal of archives, and keeps two proven copies unless told otherwise', () => {
    const set = load(exampleWith('vzdump', '  proven_copies: { critical: 2, important: 2, rebuildable: 1 }\n', '  proven_copies: { critical: 3 }\n'))
    expect(set.vzdump?.retention).toMatchObject({ policy: { preApproveHarmless: false }, provenCopies: { critical: 3, important: 2, rebuildable: 1 } })
  })

  test('may be missing: the rest loads, and its digest is what it was', () => {
    const { vzdump: _, ...rest } = exampleTexts()
    expect(load(rest).vzdump).toBeUndefined()
    expect(load(rest).digest).not.toBe(load(exampleTexts()).digest)
  })

  const REFUSALS: readonly [title: string, what: string, by: string, ...expected: RegExp[]][] = [
    [
      'an unknown host',
      '- host: pve\n',
      '- host: pvee\n',
      /hosts\[0\]\.host: found "pvee", allowed a host of kind proxmox in estate\.yaml.*did you mean pve\?$/,
    ],
    ['a host that is no Proxmox host', '- host: pve\n', '- host: nas\n', /hosts\[0\]\.host: found "nas", allowed a host of kind proxmox/],
    ['a job twice', 'id: backup-home-p2-weekly', 'id: backup-home-p0-daily', /jobs\[1\]\.id: found the job "backup-home-p0-daily" again/],
    ['a guest twice in a job', 'guests: [100]', 'guests: [100, 100]', /guests\[1\]: found guest 100 again, allowed each guest once in a job$/],
    ['a job without guests', 'guests: [105]', 'guests: []', /jobs\[1\]\.guests: .*allowed a list of at least 1/],
    ['a schedule as a number', 'schedule: "02:00"', 'schedule: 120', /schedule: found 120, allowed a Proxmox calendar event/],
    ['keep_all beside another', 'retention: { keep_last: 2 } }', 'retention: { keep_all: true, keep_last: 2 } }', /retention: .*keep_all alone/],
    [
      'retention that keeps nothing',
      'retention: { keep_last: 2 } }',
      'retention: { keep_last: 0 } }',
      /keep_last: found 0, allowed a whole number of archives from 1/,
    ],
    [
      'more people needed than there are',
      '  needed: 1\n  # One',
      '  needed: 2\n  # One',
      /approval\.needed: found 2, allowed at most the 1 different approvers listed/,
    ],
    ['an approver that a command line could take for an option', 'approvers: [ronny]', 'approvers: ["--yes"]', /approvers\[0\]: found "--yes", allowed a name/],
    ['an unknown key', 'tier: P0', 'teir: P0', /found the unknown key "teir".*did you mean tier\?/],
    ['a job id that Proxmox refuses', 'id: backup-pve-daily', 'id: 1job', /jobs\[0\]\.id: found "1job", allowed the id of a vzdump job/],
  ]
  for (const [title, what, by, ...expected] of REFUSALS) {
    test(`refuses ${title}`, () => {
      const lines = linesOf(problemsOf(exampleWith('vzdump', what, by)))
      for (const pattern of expected) expect(lines).toContainEqual(expect.stringMatching(pattern))
      expect(lines).toHaveLength(expected.length)
    })
  }
})
