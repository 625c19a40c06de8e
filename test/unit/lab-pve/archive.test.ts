/** Archives are real: what vzdump writes, vma reads, qmrestore brings back, and damage is found. */
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type SmallHost, smallHost } from './support.js'

const NIGHT = 1_795_312_800 // 2026-11-22 02:00:00 UTC
const ARCHIVE = '/srv/nas/dump/vzdump-qemu-100-2026_11_22-02_00_00.vma'
let host: SmallHost

beforeEach(async () => {
  host = await smallHost()
})
afterEach(async () => await host.remove())

const backup = async (): Promise<void> => {
  const ran = await host.run(['vzdump', '100', '--storage', 'nas'], { now: NIGHT })
  expect(ran.stderr).toBe('')
  expect(ran.exitCode).toBe(0)
}

describe('a VMA archive', () => {
  it('brings the disk back byte for byte', async () => {
    await backup()
    const restored = await host.run(['qmrestore', 'nas:backup/vzdump-qemu-100-2026_11_22-02_00_00.vma', '9100', '--storage', 'disks'])
    expect(restored.exitCode).toBe(0)
    const [before, after] = await Promise.all(
      ['100/vm-100-disk-0.raw', '9100/vm-9100-disk-0.raw'].map((name) => readFile(path.join(host.root, 'srv/disks/images', name))),
    )
    expect(after?.equals(before ?? Buffer.alloc(0))).toBe(true)
  })

  it('is listed and verified by vma', async () => {
    await backup()
    const list = await host.run(['vma', 'list', ARCHIVE])
    expect(list.stdout).toMatch(/^CFG: size: \d+ name: qemu-server\.conf\nDEV: dev_id=1 size: 8388608 devname: drive-scsi0\nCTIME: Sun Nov 22 02:00:00 2026$/)
    const verify = await host.run(['vma', 'verify', ARCHIVE])
    expect([verify.exitCode, verify.stdout, verify.stderr]).toEqual([0, '', ''])
  })

  it.each([
    ['cut inside an extent', async (file: string) => truncate(file, 100_000), /verify failed - read short extent \(\d+ bytes\)/],
    ['cut between header and extents', async (file: string) => truncate(file, 12_800), /verify failed - detected missing cluster 0 for stream drive-scsi0/],
    ['a bit flipped in the header', async (file: string) => flip(file, 100), /verify failed - wrong vma header chechsum/],
    ['a bit flipped in an extent header', async (file: string) => flip(file, 12_800 + 45), /verify failed - wrong vma extent header chechsum/],
    ['not an archive at all', async (file: string) => writeFile(file, 'x'.repeat(20_000)), /verify failed - not a vma file - wrong magic number/],
  ])('dies by a signal when it is damaged: %s', async (_what, damage, text) => {
    await backup()
    await damage(path.join(host.root, ARCHIVE))
    const verify = await host.run(['vma', 'verify', ARCHIVE])
    expect(verify.signal).toBe('SIGTRAP')
    expect(verify.stderr).toMatch(text)
  })

  it('does not notice a bit flip in its data when it is not compressed, as the real format does not', async () => {
    await backup()
    await flip(path.join(host.root, ARCHIVE), 12_800 + 512 + 2000)
    expect((await host.run(['vma', 'verify', ARCHIVE])).exitCode).toBe(0)
  })
})

describe('the life of a backup', () => {
  it('ends with archive and log in place, nothing temporary, and keeps what the retention says', async () => {
    for (const day of [0, 1, 2]) {
      const ran = await host.run(['vzdump', '100', '--storage', 'nas', '--compress', 'zstd'], { now: NIGHT + day * 86_400 })
      expect(ran.exitCode).toBe(0)
    }
    const names = await readdir(path.join(host.root, 'srv/nas/dump'))
    expect(names.sort()).toEqual(
      ['23', '24'].flatMap((day) => [`vzdump-qemu-100-2026_11_${day}-02_00_00.log`, `vzdump-qemu-100-2026_11_${day}-02_00_00.vma.zst`]),
    )
    expect(await readFile(path.join(host.root, 'etc/pve/nodes/pve/qemu-server/100.conf'), 'utf8')).not.toContain('lock:')
  })

  it('leaves only the log when it fails', async () => {
    await host.put('/etc/pve/nodes/pve/qemu-server/101.conf', 'name: gone\nscsi0: disks:101/vm-101-disk-0.raw,size=1G\n')
    const ran = await host.run(['vzdump', '101', '--storage', 'nas'], { now: NIGHT })
    expect(ran.exitCode).not.toBe(0)
    expect(ran.stdout).toContain("ERROR: Backup of VM 101 failed - no such volume 'disks:101/vm-101-disk-0.raw'")
    expect(await readdir(path.join(host.root, 'srv/nas/dump'))).toEqual(['vzdump-qemu-101-2026_11_22-02_00_00.log'])
  })
})

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(file, bytes)
}
