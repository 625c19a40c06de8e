/**
 * Disks of lab hosts: ext4 in sparse files, mounted by a loop device inside the host's mount namespace, so that `df` and /proc/mounts there are
 * true and nothing shows on the machine. The kernel frees the loop device with the last mount (autoclear), also after a kill.
 *
 * bigalloc with 256 KiB clusters: 12 TB cost 8 MB of metadata and are made in 10 ms (without it 330 MB and seconds to fill).
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { replaceFile } from '../src/files/replace-file.js'
import { run } from './command.js'
import { LabError } from './errors.js'

export interface DiskMount {
  /** On the machine. */
  readonly image: string
  /** In the host. */
  readonly path: string
  /** The folder of the disk that is mounted; `/` is all of it. */
  readonly subPath: string
}

export interface DiskPlace {
  readonly hostName: string
  readonly pid: number
  readonly folder: string
}

const FILL_FILE = '.nightshift-lab-fill'

export function imagePath(hostFolder: string, name: string): string {
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) throw new TypeError(`not a disk name: ${name}`)
  return join(hostFolder, 'disks', `${name}.img`)
}

/** Makes the file system, unless it is there; complete or not at all. */
export async function makeImage(hostFolder: string, name: string, sizeBytes: number): Promise<void> {
  const image = imagePath(hostFolder, name)
  if (existsSync(image)) return
  mkdirSync(dirname(image), { recursive: true, mode: 0o700 })
  const making = `${image}.making`
  rmSync(making, { force: true })
  const file = openSync(making, 'wx', 0o600)
  ftruncateSync(file, sizeBytes)
  closeSync(file)
  const features = '^has_journal,^resize_inode,sparse_super2,bigalloc'
  await run([
    'mke2fs',
    '-q',
    '-F',
    '-t',
    'ext4',
    '-O',
    features,
    '-C',
    '262144',
    '-E',
    'lazy_itable_init=1,nodiscard',
    '-m',
    '0',
    '-N',
    '200000',
    '-L',
    `lab-${name}`.slice(0, 16),
    making,
  ])
  renameSync(making, image)
}

/** In the host's mount namespace, from the machine's root: the image is reached by this program's own root, which the host does not see. */
const MOUNT_SCRIPT = `
set -eu
path=$1 sub=$2
device=$3
# A host may have a disk there already: the same one is fine.
if mountpoint -q "$path"; then
  umount "$path"
fi
mkdir -p "$path"
if [ "$sub" = / ]; then
  mount -t ext4 -o noatime "$device" "$path"
else
  whole=/run/nightshift-lab-disk.$$
  mkdir "$whole"
  mount -t ext4 -o noatime "$device" "$whole"
  mkdir -p "$whole$sub"
  mount --bind "$whole$sub" "$path"
  umount "$whole"
  rmdir "$whole"
fi
`

export async function mount(place: DiskPlace, wanted: DiskMount): Promise<void> {
  const device = await attach(wanted.image)
  // The host's /dev has no loop devices and may not make any; the mount goes through a node that is there only for this moment.
  const node = `/dev/nightshift-lab-${basename(wanted.image, '.img')}`
  const { stdout } = await run(['stat', '-c', '%Hr:%Lr', device])
  const [major = '', minor = ''] = stdout.trim().split(':')
  // By umask, not by `mknod -m`: its chmod goes through /proc/self, which shows another pid namespace here.
  await enter(place, ['sh', '-c', 'umask 077; exec mknod "$1" b "$2" "$3"', 'mknod', node, major, minor])
  try {
    await enter(place, ['sh', '-c', MOUNT_SCRIPT, 'mount-disk', wanted.path, wanted.subPath, node])
  } finally {
    await enter(place, ['rm', '-f', node])
    // The mount holds the device from now on; with autoclear it goes with the last one.
    await run(['losetup', '--detach', device], { check: false })
  }
}

/** One loop device per image, however many hosts mount it: two would be two file systems over one file. */
async function attach(image: string): Promise<string> {
  const { stdout: known } = await run(['losetup', '--noheadings', '--output', 'NAME', '--associated', image])
  const device = known.trim().split('\n')[0]
  if (device) return device
  const { stdout, stderr, exitCode } = await run(['losetup', '--find', '--show', image], { check: false })
  if (exitCode === 0) return stdout.trim()
  throw new LabError('config', `no loop device for a lab disk: ${stderr.trim()}`, 'modprobe loop; in a container run the lab with --privileged')
}

export async function unmount(place: DiskPlace, path: string): Promise<void> {
  await enter(place, ['sh', '-c', 'if mountpoint -q "$1"; then umount "$1" || umount -l "$1"; fi', 'unmount', path])
}

/** Enters the mount namespace alone, with the machine root's capabilities: hosts themselves may not make devices. */
async function enter(place: DiskPlace, argv: readonly string[]): Promise<void> {
  await run(['nsenter', '--target', String(place.pid), '--mount', '--pid', '--root', '--wd', ...argv])
}

export function readMounts(hostFolder: string): DiskMount[] {
  const path = join(hostFolder, 'disks.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as DiskMount[]) : []
}

export function writeMounts(hostFolder: string, mounts: readonly DiskMount[]): void {
  replaceFile(join(hostFolder, 'disks.json'), `${JSON.stringify(mounts, null, 2)}\n`)
}

/** Files that take all room but for `leave` bytes: the biggest piece that still fits, then the next; the file system's own book-keeping takes some on the way. */
const FILL_SCRIPT = `
set -eu
path=$1 leave=$2 number=0
rm -f "$path/${FILL_FILE}".*
room() { set -- $(stat --file-system --format '%a %S' "$path"); echo $(($1 * $2 - leave)); }
piece=$(room)
while [ "$piece" -ge 4096 ] && [ "$(room)" -ge 4096 ]; do
  number=$((number + 1))
  fallocate --length "$piece" "$path/${FILL_FILE}.$number" 2>/dev/null || piece=$((piece / 2))
  [ "$piece" -le "$(room)" ] || piece=$(room)
done
`

/** @param host anything that runs a program in the host */
export async function fill(host: { exec(argv: readonly string[]): Promise<unknown> }, path: string, leaveBytes: number): Promise<void> {
  await host.exec(['sh', '-c', FILL_SCRIPT, 'fill', path, String(leaveBytes)])
}

export async function empty(host: { exec(argv: readonly string[]): Promise<unknown> }, path: string): Promise<void> {
  await host.exec(['sh', '-c', `rm -f "$1/${FILL_FILE}".*`, 'empty', path])
}
