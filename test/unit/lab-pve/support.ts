/** A small host for the emulated Proxmox programs: a temporary root with two storages, a VM with a real disk file, a container. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa, type Result } from 'execa'
import { emulatorBin } from '../../../lab/replay.js'

export interface SmallHost {
  readonly root: string
  run(argv: readonly string[], options?: { now?: number; tz?: string; input?: string | Uint8Array }): Promise<Result<{ encoding: 'utf8' }>>
  put(file: string, content: string | Uint8Array): Promise<void>
  remove(): Promise<void>
}

export const DISK_BYTES = 8 * 1024 * 1024

export async function smallHost(): Promise<SmallHost> {
  const root = await mkdtemp(path.join(tmpdir(), 'nightshift-pve-'))
  const put = async (file: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true })
    await writeFile(path.join(root, file), content)
  }
  await put('/etc/nightshift-lab/pve.json', '{"node":"pve"}')
  await put(
    '/etc/pve/storage.cfg',
    'dir: disks\n\tpath /srv/disks\n\tcontent images,rootdir\n\ndir: nas\n\tpath /srv/nas\n\tcontent backup\n\tprune-backups keep-last=2\n\n',
  )
  await put('/etc/pve/nodes/pve/qemu-server/100.conf', 'agent: 1\nboot: order=scsi0\nmemory: 512\nname: web\nscsi0: disks:100/vm-100-disk-0.raw,size=8M\n')
  const disk = new Uint8Array(DISK_BYTES)
  for (let i = 70_000; i < 400_000; i++) disk[i] = (i * 2_654_435_761) % 251
  disk[DISK_BYTES - 1] = 7
  await put('/srv/disks/images/100/vm-100-disk-0.raw', disk)
  return {
    root,
    put,
    remove: () => rm(root, { recursive: true, force: true }),
    run: async (argv, options = {}) => {
      const [program, ...args] = argv
      const env = {
        NIGHTSHIFT_LAB_ROOT: root,
        TZ: options.tz ?? 'UTC',
        LC_ALL: 'C',
        ...(options.now === undefined ? {} : { NIGHTSHIFT_LAB_NOW: String(options.now) }),
      }
      return (await execa(path.join(emulatorBin(), program ?? ''), args, { reject: false, env, input: options.input ?? '' })) as Result<{ encoding: 'utf8' }>
    },
  }
}
