/** The host of a recording as a folder: every file of the fixture below a temporary root, and snapshots of what the recordings watch. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Recording, RecordingEnvironment, Sequence } from './recording.js'

/** Folders that the recordings watch: configuration, job states, archives. Task logs and disk images are not in them. */
const WATCHED = ['/etc/pve', '/etc/vzdump.conf', '/var/lib/pve-manager/jobs']
const STANDIN_IMAGE_BYTES = 1024

export interface HostRoot {
  readonly dir: string
  readonly tz: string
  readonly watched: readonly string[]
  remove(): Promise<void>
}

async function put(root: string, file: string, content: string | Uint8Array): Promise<void> {
  const at = path.join(root, file)
  await mkdir(path.dirname(at), { recursive: true })
  await writeFile(at, content)
}

async function putSized(root: string, file: string, bytes: number): Promise<void> {
  await put(root, file, '')
  await truncate(path.join(root, file), bytes)
}

/** Images that the guests of the recording name on directory storages; the recordings list them with 1024 bytes each. */
async function putImages(root: string, files: Record<string, string>): Promise<void> {
  const paths = storagePaths(files['/etc/pve/storage.cfg'] ?? '')
  for (const [name, text] of Object.entries(files)) {
    if (!/\/(?:qemu-server|lxc)\/\d+\.conf$/.test(name)) continue
    for (const [, storage, owner, image] of text.matchAll(/^\w+: ([a-z][\w.-]*):(\d+)\/([^,\s]+)/gim)) {
      const base = paths.get(storage ?? '')
      if (base) await putSized(root, `${base}/images/${owner}/${image}`, STANDIN_IMAGE_BYTES)
    }
  }
}

/** storage ID → path, of directory storages. */
function storagePaths(config: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const section of config.split(/\n\n+/)) {
    const id = /^\w+:\s*(\S+)/.exec(section)?.[1]
    const dir = /^\s+path\s+(\S+)/m.exec(section)?.[1]
    if (id && dir) found.set(id, dir)
  }
  return found
}

/** Makes the host of one sequence. The caller removes it. */
export async function makeHost(recording: Recording, sequence: Sequence, environment: RecordingEnvironment): Promise<HostRoot> {
  const dir = await mkdtemp(path.join(tmpdir(), 'nightshift-replay-'))
  const { fixture } = recording
  const tz = sequence.tz ?? fixture.tz
  const files: Record<string, string> = { ...fixture.files, ...fixture.notes, ...fixture.task_logs, ...sequence.extra_files }
  for (const node of new Set([fixture.hostname, ...fixture.nodes]))
    for (const kind of ['qemu-server', 'lxc']) await mkdir(path.join(dir, 'etc/pve/nodes', node, kind), { recursive: true })
  for (const folder of fixture.directories) await mkdir(path.join(dir, folder), { recursive: true })
  for (const [file, bytes] of Object.entries(fixture.files_by_size)) await putSized(dir, file, bytes)
  for (const [file, text] of Object.entries(files)) await put(dir, file, text)
  if (fixture.task_index_lines.length > 0) await put(dir, '/var/log/pve/tasks/index', `${fixture.task_index_lines.join('\n')}\n`)
  await putImages(dir, files)
  const archive = fixture.archive_for_restore
  if (archive && needsArchive(sequence, archive.path)) {
    const zstd = spawnSync('zstd', ['-q', '-c'], { input: archive.text })
    if (zstd.status !== 0) throw new Error('zstd is needed to make the archive of the recording: install the package zstd')
    await put(dir, archive.path, new Uint8Array(zstd.stdout))
  }
  await put(dir, '/etc/nightshift-lab/pve.json', JSON.stringify({ node: fixture.hostname, host_cpus: 2, latency_ms: 0, recording: environment }))
  await symlink(`/usr/share/zoneinfo/${tz}`, path.join(dir, 'etc/localtime')).catch(() => undefined)
  const dumps = [...storagePaths(files['/etc/pve/storage.cfg'] ?? '').values()].map((base) => `${base}/dump`)
  return { dir, tz, watched: [...WATCHED, ...new Set(dumps)], remove: () => rm(dir, { recursive: true, force: true }) }
}

function needsArchive(sequence: Sequence, archivePath: string): boolean {
  const base = path.posix.basename(archivePath)
  return /^restore\b/.test(sequence.name) || sequence.steps.some((step) => step.argv.some((word) => word.includes(base)))
}

/** Content by path: text, or `<N bytes>` for archives and what is not text. */
export async function snapshot(host: HostRoot): Promise<Map<string, string>> {
  const seen = new Map<string, string>()
  const visit = async (at: string): Promise<void> => {
    const full = path.join(host.dir, at)
    if (!existsSync(full)) return
    const info = await stat(full)
    if (info.isDirectory()) {
      for (const name of await readdir(full)) await visit(path.posix.join(at, name))
      return
    }
    seen.set(at, await contentOf(full, info.size))
  }
  for (const at of host.watched) await visit(at)
  return seen
}

async function contentOf(full: string, size: number): Promise<string> {
  if (/\.(?:vma|tar|tgz|dat)(?:\.\w+)?$/.test(full)) return `<${size} bytes>`
  const bytes = await readFile(full)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `<${size} bytes>`
  }
}
