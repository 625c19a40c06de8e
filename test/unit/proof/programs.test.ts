/** The proving programs, run for real by perl on a temporary host. (Inside of a systemd unit, with vma, they run against the lab's hosts.) */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readInspection, readValidationAnswer, readVerification } from '../../../src/domain/proof/answers.js'
import { inspectProgram, validationProgram, verifyProgram } from '../../../src/domain/proof/programs.js'
import { makeRedact } from '../../../src/domain/redact.js'

let root: string
let archive: string
const VOLID = 'tank:backup/vzdump-lxc-105-2026_11_21-02_00_04.tar.zst'
const LOG = '2026-11-21 02:05:00 INFO: Finished Backup of VM 105 (00:05:00)\n'

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nightshift-proof-'))
  archive = join(root, 'dump', 'vzdump-lxc-105-2026_11_21-02_00_04.tar.zst')
  write('content/etc/hostname', 'pihole-home\n'.repeat(4000))
  mkdirSync(dirname(archive))
  spawnSync('sh', ['-c', `tar -C "$1" -cf - content | zstd -q -o "$2"`, 'sh', root, archive])
  write('dump/vzdump-lxc-105-2026_11_21-02_00_04.log', LOG)
  program('pvesm', `echo ${root}/dump/\${2##*/}`)
  program('pvesh', 'echo "[]"')
  program('systemctl', `[ "$1" = is-active ] && { cat ${root}/active 2>/dev/null || echo inactive; }; true`)
  // the unit, at once and in the foreground
  program('systemd-run', `while [ "$1" != perl ]; do shift; done; echo "$*" >>${root}/begun; [ -e ${root}/hold ] || "$@"`)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function program(name: string, text: string): void {
  write(`bin/${name}`, `#!/bin/sh\n${text}\n`)
  chmodSync(join(root, 'bin', name), 0o755)
}

/** What the program prints; its absolute paths lie below the temporary root. */
function perl(text: string): string {
  const moved = text.replaceAll('/run/nightshift-verify', `${root}/run`).replaceAll('/var/log/pve', `${root}/pve`)
  const run = spawnSync('perl', ['-'], { input: moved, encoding: 'utf8', env: { PATH: `${root}/bin:${process.env.PATH}` } })
  expect(run.stderr).toBe('')
  return makeRedact([])(run.stdout.trim())
}

const inspect = () => readInspection(VOLID, perl(inspectProgram({ volid: VOLID })))

function verify(more: { anyway?: boolean } = {}) {
  const { size, mtimeMs } = statSync(archive)
  const request = { volid: VOLID, storage: 'tank', path: archive, sizeBytes: size, modifiedSeconds: Math.floor(mtimeMs / 1000), anyway: false, ...more }
  return readVerification(perl(verifyProgram(request)))
}

/** Begins and finishes the reading: the first answer is that it runs. */
function verifyToTheEnd() {
  expect(verify()).toMatchObject({ state: 'running' })
  return verify()
}

describe('level 1', () => {
  it('is reached by an archive with its finished log', () => {
    expect(inspect()).toEqual({
      state: 'complete',
      file: { volid: VOLID, path: archive, sizeBytes: statSync(archive).size, modifiedSeconds: Math.floor(statSync(archive).mtimeMs / 1000) },
    })
  })

  it('is not reached without the line that says it was finished, nor by one much smaller than those before it', () => {
    write('dump/vzdump-lxc-105-2026_11_21-02_00_04.log', '2026-11-21 02:00:04 INFO: Starting Backup of VM 105 (lxc)\n')
    expect(inspect()).toMatchObject({ state: 'incomplete', why: expect.stringContaining('Finished Backup of VM 105') })
    write('dump/vzdump-lxc-105-2026_11_21-02_00_04.log', LOG)
    write('dump/vzdump-lxc-105-2026_11_14-02_00_04.tar.zst', 'x'.repeat(1_000_000))
    utimesSync(join(root, 'dump/vzdump-lxc-105-2026_11_14-02_00_04.tar.zst'), 1_795_000_000, 1_795_000_000)
    expect(inspect()).toMatchObject({ state: 'incomplete', why: expect.stringContaining('the one before had') })
  })

  it('says what is not there and what cannot be known', () => {
    rmSync(archive)
    expect(inspect()).toMatchObject({ state: 'absent' })
    program('pvesm', `echo "storage 'tank' does not exist" >&2; exit 2`)
    expect(inspect()).toMatchObject({ state: 'unknown', why: expect.stringContaining("storage 'tank' does not exist") })
    expect(readInspection(VOLID, 'bash: perl: not found')).toMatchObject({ state: 'unknown' })
  })
})

describe('level 2', () => {
  it('reads the whole archive once, keeps its SHA-256, and answers the same when asked again', () => {
    const sha256 = createHash('sha256').update(readFileSync(archive)).digest('hex')
    expect(verifyToTheEnd()).toMatchObject({ state: 'readable', sha256 })
    expect(verify()).toMatchObject({ state: 'readable', sha256 })
    expect(readFileSync(join(root, 'begun'), 'utf8').trim().split('\n')).toHaveLength(1)
  })

  it('finds a truncated archive and a single flipped bit damaged, with the words of the program that saw it', () => {
    const whole = readFileSync(archive)
    truncateSync(archive, whole.length - 20)
    expect(verifyToTheEnd()).toMatchObject({ state: 'damaged', why: expect.stringMatching(/premature|unexpected|truncated/i) })
    const flipped = Buffer.from(whole)
    flipped[flipped.length - 2] = (flipped.at(-2) ?? 0) ^ 1
    writeFileSync(archive, flipped)
    expect(verifyToTheEnd()).toMatchObject({ state: 'damaged', why: expect.stringMatching(/checksum/i) })
  })

  it('does not know when a program is missing, and never calls that damaged', () => {
    program('zstd', 'exec /nonexistent/zstd')
    expect(verifyToTheEnd()).toMatchObject({ state: 'unknown', why: expect.stringContaining('not found') })
  })

  it('waits while a backup runs, while one is due before the reading would be over, and while another archive of the storage is read', () => {
    write('pve/tasks/active', `UPID:pve:${process.pid.toString(16).toUpperCase().padStart(8, '0')}:0015C002:6B012800:vzdump::root@pam: 0\n`)
    expect(verify()).toMatchObject({ state: 'waiting', why: 'a backup is running on this host' })
    write('pve/tasks/active', '')
    program('pvesh', `echo '[{"id":"backup-pve-daily","enabled":1,"next-run":'$(($(date +%s) + 20))'}]'`)
    expect(verify()).toMatchObject({ state: 'waiting', why: 'job backup-pve-daily is due before the reading would be over' })
    write('hold', '')
    expect(verify({ anyway: true })).toMatchObject({ state: 'running' })
    write('active', 'active\n')
    const other = { volid: 'tank:backup/other', storage: 'tank', path: archive, sizeBytes: 1, modifiedSeconds: 1, anyway: true }
    expect(readVerification(perl(verifyProgram(other)))).toMatchObject({ state: 'waiting', why: `${VOLID} of the same storage is being read` })
  })

  it('keeps the result of one archive when the next of its storage is read before anybody asked for it', () => {
    const first = archive
    const second = join(root, 'dump', 'vzdump-lxc-105-2026_11_22-02_00_04.tar.zst')
    copyFileSync(first, second)
    expect(verify()).toMatchObject({ state: 'running' })
    archive = second
    expect(verifyToTheEnd()).toMatchObject({ state: 'readable' })
    archive = first
    expect(verify()).toMatchObject({ state: 'readable' })
    expect(readFileSync(join(root, 'begun'), 'utf8').trim().split('\n')).toHaveLength(2)
    writeFileSync(first, 'another file by now')
    expect(verifyToTheEnd()).toMatchObject({ state: 'damaged' })
  })

  it('is read anew after it could not be known, so that a mended host is believed', () => {
    program('zstd', 'exec /nonexistent/zstd')
    expect(verifyToTheEnd()).toMatchObject({ state: 'unknown' })
    rmSync(join(root, 'bin/zstd'))
    expect(verifyToTheEnd()).toMatchObject({ state: 'readable' })
  })

  it('is begun again after the unit was ended from outside, three times at most', () => {
    write('hold', '')
    for (let time = 0; time < 3; time++) expect(verify()).toMatchObject({ state: 'running' })
    expect(verify()).toMatchObject({ state: 'unknown', why: expect.stringContaining('3 times') })
  })

  it('refuses another file under the same name', () => {
    const { size } = statSync(archive)
    const request = { volid: VOLID, storage: 'tank', path: archive, sizeBytes: size + 1, modifiedSeconds: 1, anyway: false }
    expect(readVerification(perl(verifyProgram(request)))).toMatchObject({ state: 'unknown', why: expect.stringContaining('another file by now') })
    expect(existsSync(join(root, 'begun'))).toBe(false)
  })
})

describe('a backup by hand', () => {
  const seen = () => readValidationAnswer(perl(validationProgram({ unit: 'nightshift-validate-1.service', guests: [211, 212, 213] })))

  it('is over when its unit says so, and its own log tells the archive of each guest, or why there is none', () => {
    program('systemctl', 'echo running')
    expect(seen()).toEqual({ state: 'running' })
    program('systemctl', 'echo exited')
    program(
      'journalctl',
      `cat <<'END'
INFO: starting new backup job: vzdump 211 212 213 --storage tank --mode snapshot
INFO: Starting Backup of VM 211 (qemu)
INFO: creating vzdump archive '/mnt/dump/vzdump-qemu-211-2026_11_21-08_53_32.vma.zst'
INFO: Finished Backup of VM 211 (00:01:10)
INFO: Starting Backup of VM 212 (qemu)
INFO: creating vzdump archive '/mnt/dump/vzdump-qemu-212-2026_11_21-08_54_42.vma.zst'
ERROR: Backup of VM 212 failed - no space left on device
INFO: Backup job finished with errors
END`,
    )
    expect(seen()).toEqual({
      state: 'over',
      guests: [
        { vmid: 211, volid: 'tank:backup/vzdump-qemu-211-2026_11_21-08_53_32.vma.zst', said: 'ok' },
        { vmid: 212, volid: null, said: 'ERROR: Backup of VM 212 failed - no space left on device' },
        { vmid: 213, volid: null, said: expect.any(String) },
      ],
    })
    expect(readValidationAnswer('no JSON')).toBeNull()
  })
})
