import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Check, Effect } from '../../../src/domain/change/plan.js'
import { parseReport, remoteProgram, type StepReport } from '../../../src/domain/change/remote-program.js'
import { PveRoot } from '../../helpers/pve-root.js'

const NOW = new Date('2026-02-11T20:00:00Z')
const NOTHING: Effect = { kind: 'command', argv: ['true'] }
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

let host: PveRoot
beforeEach(async () => {
  host = await PveRoot.create({
    guests: [{ vmid: 100, type: 'qemu', name: 'web' }],
    storages: { nas: 'keep-last=3' },
    jobs: [{ id: 'daily', schedule: '02:00', storage: 'nas', vmid: '100,101', comment: 'theirs', 'prune-backups': 'keep-last=3,keep-weekly=2' }],
  })
})
afterEach(async () => {
  await host.remove()
})

async function step(before: readonly Check[], effect: Effect, after: readonly Check[]): Promise<StepReport> {
  const { stdout, stderr } = await host.run(['perl', '-'], NOW, { input: remoteProgram({ before, effect, after }, join(host.dir, 'lock')) })
  expect(stderr).toBe('')
  return parseReport(stdout)
}

/** What does not hold of these checks. */
async function differences(...checks: Check[]): Promise<StepReport['differences']> {
  const report = await step(checks, NOTHING, [{ kind: 'file', path: join(host.dir, 'never'), sha256: sha256('x') }])
  return report.outcome === 'moved' ? report.differences : report.outcome === 'failed' ? [] : expect.fail(`${report.outcome}: ${report.said}`)
}

const job = (fields: Extract<Check, { kind: 'api' }>['fields'], sets: string[] = []): Check => ({ kind: 'api', path: '/cluster/backup/daily', fields, sets })
const comment = (text: string): Effect => ({ kind: 'command', argv: ['pvesh', 'set', '/cluster/backup/daily', '--comment', text] })
const jobSets = async (): Promise<number> => (await host.ledger()).filter(({ effect }) => effect === 'job.set').length

describe('what only the host may know', () => {
  it('compares a file with a secret in it, and says neither the secret nor what is there', async () => {
    const path = join(host.dir, 'login')
    const wanted = { kind: 'secret-file', path, content: 'user:wanted-word\n', mode: '0600' } as const
    const order = [[{ kind: 'file', path, sha256: null }], { kind: 'write-file', path, mode: '0600', content: wanted.content }, [wanted]] as const
    expect(await step(...order)).toMatchObject({ outcome: 'applied' })
    expect(await step(...order)).toMatchObject({ outcome: 'already' })
    writeFileSync(path, 'user:other-word\n')
    chmodSync(path, 0o644)
    const found = await differences(wanted)
    expect(found).toEqual([
      { subject: path, field: 'content', expected: 'as wanted', found: 'something else' },
      { subject: path, field: 'mode', expected: '0600', found: '0644' },
    ])
    expect(await differences({ ...wanted, path: join(host.dir, 'gone') })).toMatchObject([{ field: 'existence', found: null }])
  })

  describe.each([
    ['notifications', 'sha256', 'notifications.cfg', '/cluster/notifications/endpoints/sendmail/desk', 'author'],
    ['storages', 'sha1', 'storage.cfg', '/storage/nas', 'prune-backups'],
  ] as const)('gives Proxmox the digest that its file had before anything was compared (%s)', (_what, hash, file, path, field) => {
    const [before, ours, again] = field === 'author' ? ['before', 'ours', 'again'] : ['keep-last=3', 'keep-last=4', 'keep-last=5']
    const is = (value: string): Check => ({ kind: 'api', path, fields: { [field]: value } })
    const at = () => join(host.dir, 'etc/pve', file)
    const set = (value: string): Effect => ({ kind: 'command', argv: ['pvesh', 'set', path, `--${field}`, value, '--digest', `{{${hash}:${at()}}}`] })
    beforeEach(async () => {
      await host.run(['pvesh', 'create', '/cluster/notifications/endpoints/sendmail', '--name', 'desk', '--mailto', 'a@example.org', '--author', 'before'], NOW)
    })

    it('so that an untouched file is written', async () => {
      expect(await step([is(before)], set(ours), [is(ours)])).toMatchObject({ outcome: 'applied' })
      expect(await step([is(before)], set(ours), [is(ours)])).toMatchObject({ outcome: 'already' })
    })

    it('so that a change in between is refused: the world has moved, nothing is done', async () => {
      // Somebody else writes after the digest was taken: the check that runs then does it here.
      const meanwhile: Check = { kind: 'command', argv: ['sh', '-c', `printf '\\n' >> ${at()}`], stdout: '' }
      const report = await step([meanwhile, is(before)], set(again), [is(again)])
      expect(report).toMatchObject({ outcome: 'moved', differences: [{ subject: at(), found: 'changed meanwhile' }] })
      expect(report.said).toContain('detected modified configuration')
      expect(await differences(is(before))).toEqual([])
    })
  })
})

describe('compare, effect, read back', () => {
  it('takes effect once, and finds it when it is asked again', async () => {
    const order = [[job({ comment: 'theirs' })], comment("it's “ours”; $(rm -rf /) `x`"), [job({ comment: "it's “ours”; $(rm -rf /) `x`" })]] as const
    expect(await step(...order)).toMatchObject({ outcome: 'applied', differences: [] })
    expect(await step(...order)).toMatchObject({ outcome: 'already' })
    expect(await jobSets()).toBe(1)
  })

  it('does nothing when the host is not as planned, and names field, expected and found', async () => {
    const report = await step([job({ comment: 'other', storage: 'nas' })], comment('ours'), [job({ comment: 'ours' })])
    expect(report).toMatchObject({
      outcome: 'moved',
      differences: [{ subject: '/cluster/backup/daily', field: 'comment', expected: 'other', found: 'theirs' }],
    })
    expect(await jobSets()).toBe(0)
  })

  it('says that an effect which did nothing failed, whatever its exit code', async () => {
    expect(await step([], NOTHING, [job({ comment: 'ours' })])).toMatchObject({ outcome: 'failed', exitCode: 0, differences: [{ field: 'comment' }] })
  })

  it('counts what can be read back, and not the exit code', async () => {
    const effect: Effect = { kind: 'command', argv: ['sh', '-c', 'pvesh set /cluster/backup/daily --comment ours; echo lost >&2; exit 7'] }
    expect(await step([job({ comment: 'theirs' })], effect, [job({ comment: 'ours' })])).toMatchObject({ outcome: 'applied', exitCode: 7, said: 'lost\n' })
  })

  it('does nothing when a check cannot be made', async () => {
    await host.put('/etc/nightshift-lab/pve.json', '{"node":"pve","storage":{}}')
    const report = await step([{ kind: 'api', path: '/no/such/path', fields: { a: 1 } }], comment('ours'), [job({ comment: 'ours' })])
    expect(report).toMatchObject({ outcome: 'unreadable', said: expect.stringContaining('pvesh get /no/such/path ended with') })
    expect(await jobSets()).toBe(0)
  })

  it('lets a second step wait for the first', async () => {
    await host.holdAfter('block', 'job.set daily')
    const order = [[job({ comment: 'theirs' })], comment('ours'), [job({ comment: 'ours' })]] as const
    const first = step(...order)
    while ((await host.held()) === undefined) await new Promise((resolve) => setImmediate(resolve))
    let isSecondThrough = false
    const second = step(...order).then((report) => {
      isSecondThrough = true
      return report
    })
    await host
      .run(['perl', '-e', `use Fcntl ':flock'; open my $l, '>>', $ARGV[0] or die; exit(flock($l, LOCK_EX | LOCK_NB) ? 1 : 0)`, join(host.dir, 'lock')], NOW)
      .then(({ exitCode }) => expect(exitCode).toBe(0))
    expect(isSecondThrough).toBe(false)
    await host.release()
    expect((await first).outcome).toBe('applied')
    expect((await second).outcome).toBe('already')
  })

  it('gives a program its input, and never as an argument', async () => {
    const file = join(host.dir, 'seen')
    const effect: Effect = { kind: 'command', argv: ['sh', '-c', `cat > ${file}; tr '\\0' ' ' </proc/$PPID/cmdline >> ${file}`], stdin: 'sécret\n' }
    expect(await step([], effect, [])).toMatchObject({ outcome: 'applied', exitCode: 0 })
    expect(readFileSync(file, 'utf8')).toMatch(/^sécret\nperl - $/)
  })
})

describe('a check', () => {
  it('compares numbers, texts and truth values as Proxmox writes them: all ways', async () => {
    expect(await differences(job({ enabled: true, storage: 'nas', mailto: null }))).toEqual([])
    expect(await differences(job({ enabled: '1' }), job({ enabled: 1 }))).toEqual([])
    expect(await differences(job({ enabled: false }))).toHaveLength(1)
  })

  it('compares sets without order, and objects by their members, also where a set is asked for', async () => {
    expect(await differences(job({ vmid: '101;100' }, ['vmid']))).toEqual([])
    expect(await differences(job({ vmid: '100' }, ['vmid']))).toHaveLength(1)
    const kept = { 'keep-weekly': 2, 'keep-last': '3' }
    expect(await differences(job({ 'prune-backups': kept }), job({ 'prune-backups': kept }, ['prune-backups']))).toEqual([])
    expect(await differences(job({ 'prune-backups': { 'keep-last': 3 } }, ['prune-backups']))).toHaveLength(1)
  })

  it('knows what is not there from what cannot be read', async () => {
    expect(await differences({ kind: 'api', path: '/cluster/backup/nope', fields: null })).toEqual([])
    expect(await differences({ kind: 'api', path: '/storage/nope', fields: null })).toEqual([])
    expect(await differences(job(null))).toMatchObject([{ field: 'existence', expected: null, found: 'there' }])
    expect(await differences({ kind: 'api', path: '/cluster/backup/nope', fields: { comment: 'x' } })).toMatchObject([{ field: 'existence', found: null }])
  })

  it('finds one row of a list', async () => {
    const row = { kind: 'row' as const, path: '/cluster/backup', where: { id: 'daily' } }
    expect(await differences({ ...row, fields: { comment: 'theirs' } }, { ...row, where: { id: 'nope' }, fields: null })).toEqual([])
    expect(await differences({ ...row, fields: null }, { ...row, fields: { comment: 'x' } })).toHaveLength(2)
  })

  it('compares a file by content and permissions, and refuses to follow a link', async () => {
    const path = join(host.dir, 'conf')
    writeFileSync(path, 'text\n')
    chmodSync(path, 0o640)
    expect(await differences({ kind: 'file', path, sha256: sha256('text\n'), mode: '640' })).toEqual([])
    expect(await differences({ kind: 'file', path, sha256: sha256('other'), mode: '0600' })).toMatchObject([
      { field: 'sha256' },
      { field: 'mode', found: '0640' },
    ])
    symlinkSync(path, join(host.dir, 'link'))
    const report = await step([{ kind: 'file', path: join(host.dir, 'link'), sha256: null }], NOTHING, [{ kind: 'file', path, sha256: null }])
    expect(report).toMatchObject({ outcome: 'unreadable', said: expect.stringContaining('not a plain file') })
  })

  it('reads what a program prints, also when its exit code means no; one that said nothing has not answered', async () => {
    expect(await differences({ kind: 'command', argv: ['sh', '-c', 'echo " inactive "; exit 3'], stdout: 'inactive' })).toEqual([])
    const silent = await step([{ kind: 'command', argv: ['sh', '-c', 'exit 1'], stdout: '' }], NOTHING, [job({ comment: 'x' })])
    expect(silent.outcome).toBe('unreadable')
    const missing = await step([{ kind: 'command', argv: ['nightshift-no-such-program'], stdout: '' }], NOTHING, [job({ comment: 'x' })])
    expect(missing).toMatchObject({ outcome: 'unreadable', said: expect.stringContaining('127') })
  })

  it('takes an archive for another one when size, time or protection differ, and never for gone while its storage is not mounted', async () => {
    const path = join(host.storagePath('nas'), 'dump/vzdump-qemu-100-2026_02_11-02_00_00.vma.zst')
    await host.put(path.slice(host.dir.length), '12345')
    utimesSync(path, 1_770_000_000, 1_770_000_000)
    const artifact = { sizeBytes: 5, modifiedAtSeconds: 1_770_000_000, protected: false }
    expect(await differences({ kind: 'artifact', path, artifact })).toEqual([])
    writeFileSync(`${path}.protected`, '')
    expect(await differences({ kind: 'artifact', path, artifact: { ...artifact, sizeBytes: 6 } })).toMatchObject([
      { field: 'protected' },
      { field: 'sizeBytes', found: 5 },
    ])
    const gone = { kind: 'artifact' as const, path: `${path}.gone`, artifact: null }
    expect(await differences(gone)).toEqual([])
    const unmounted = await step([], NOTHING, [{ ...gone, mountedAt: host.storagePath('nas') }])
    expect(unmounted).toMatchObject({ outcome: 'unreadable', said: expect.stringContaining('nothing is mounted at') })
  })
})

describe('files', () => {
  it('are replaced whole with their permissions, and removed', async () => {
    const path = join(host.dir, 'conf')
    const written = { kind: 'file' as const, path, sha256: sha256('grün\n'), mode: '0600' }
    expect(await step([{ ...written, sha256: null }], { kind: 'write-file', path, mode: '0600', content: 'grün\n' }, [written])).toMatchObject({
      outcome: 'applied',
    })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await step([written], { kind: 'remove-file', path }, [{ kind: 'file', path, sha256: null }])).toMatchObject({ outcome: 'applied' })
    expect(existsSync(path)).toBe(false)
  })

  it('leave nothing behind when they cannot be written', async () => {
    const path = join(host.dir, 'no/such/folder/conf')
    const report = await step([], { kind: 'write-file', path, mode: '0600', content: 'x' }, [{ kind: 'file', path, sha256: sha256('x') }])
    expect(report).toMatchObject({ outcome: 'failed', said: expect.stringContaining('No such file or directory') })
  })
})

it('is a program that perl accepts without a warning', () => {
  const program = remoteProgram({ before: [], after: [], effect: NOTHING })
  expect(execFileSync('perl', ['-wc', '-'], { input: program, stdio: ['pipe', 'pipe', 'pipe'], encoding: 'utf8' })).toBe('')
})
