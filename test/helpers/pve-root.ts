/**
 * A Proxmox host in a folder: the emulated programs of `lab/pve`, unprivileged, at any clock. For tests of what reads and changes Proxmox, without a lab.
 * Proxmox' own files are below the folder (`etc/pve/jobs.cfg`); archives lie at paths that every program sees (`storagePath`), so `stat` and `zstd -t` work on them.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { emulatorBin } from '../../lab/replay.js'
import { type RunRequest, type RunResult, SshError } from '../../src/ssh/index.js'

export interface PveGuest {
  readonly vmid: number
  readonly type: 'qemu' | 'lxc'
  readonly name: string
  /** Power state; default stopped. */
  readonly running?: boolean
  /** More lines of its configuration, such as `agent: 1`. */
  readonly lines?: readonly string[]
}

/** One backup job: `id`, `schedule` and any option of a vzdump job, as in `/etc/pve/jobs.cfg`. */
export type PveJob = { readonly id: string; readonly schedule: string } & Readonly<Record<string, string | number>>

export interface PveDescription {
  /** Node name; default `pve`. */
  readonly node?: string
  /** Zone of the host's clock; default UTC. */
  readonly timeZone?: string
  readonly guests: readonly PveGuest[]
  /** Backup storages (id → retention, `keep-last=3`); default one, `nas`, that keeps all. */
  readonly storages?: Readonly<Record<string, string>>
  readonly jobs?: readonly PveJob[]
}

/** How a guest's backups go wrong: see `lab/pve/lib/LabPVE/BackupFault.pm`. */
export type BackupFault = 'fail' | `fail ${string}` | 'hang' | 'crash' | 'short'

export interface Effect {
  readonly at: number
  readonly by: string
  readonly effect: string
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number>>
}

export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly input?: string | Uint8Array
  readonly deadlineMs?: number
  /** Clock and systemd of the machine are the host's too (`host-programs/`). */
  readonly asWhole?: boolean
}

const HOST_PROGRAMS = fileURLToPath(new URL('./host-programs', import.meta.url))

/** Files of a whole host that programs of the product name. */
const OF_THE_HOST = /(?<![\w/])\/(?:etc\/pve|etc\/localtime|var\/log\/pve|var\/lib\/pve-manager|run\/nightshift-verify)\b/g

const DISK_BYTES = 1024 * 1024
const LAB_FOLDER = 'var/lib/nightshift-lab'

export class PveRoot {
  private constructor(
    readonly dir: string,
    readonly node: string,
    private readonly timeZone: string,
  ) {}

  static async create(description: PveDescription): Promise<PveRoot> {
    const dir = await mkdtemp(path.join(tmpdir(), 'nightshift-pve-'))
    const host = new PveRoot(dir, description.node ?? 'pve', description.timeZone ?? 'UTC')
    // The emulator puts the folder before every path. By this link the paths of storages, which have it already, lead to the same place.
    await mkdir(path.join(dir, path.dirname(dir)), { recursive: true })
    await symlink(dir, path.join(dir, dir))
    await host.setFaults({})
    await symlink(`/usr/share/zoneinfo/${host.timeZone}`, path.join(dir, 'etc/localtime'))
    for (const kind of ['qemu-server', 'lxc']) await mkdir(path.join(dir, 'etc/pve/nodes', host.node, kind), { recursive: true })
    await mkdir(path.join(dir, 'var/tmp'), { recursive: true })
    const storages = Object.entries(description.storages ?? { nas: 'keep-all=1' })
    const sections = storages.map(([id, keep]) => `dir: ${id}\n\tpath ${host.storagePath(id)}\n\tcontent backup\n\tprune-backups ${keep}\n`)
    await host.put('/etc/pve/storage.cfg', ['dir: disks\n\tpath /srv/disks\n\tcontent images,rootdir\n', ...sections].map((text) => `${text}\n`).join(''))
    for (const [id] of storages) await mkdir(host.storagePath(id), { recursive: true })
    for (const guest of description.guests) await host.addGuest(guest)
    await host.put('/etc/pve/user.cfg', `user:root@pam:1:0:::root@${host.node}.example:::\n`)
    await host.put('/etc/pve/jobs.cfg', (description.jobs ?? []).map(jobSection).join(''))
    return host
  }

  storagePath(id: string): string {
    return path.join(this.dir, 'mnt/pve', id)
  }

  async put(file: string, content: string | Uint8Array): Promise<void> {
    const at = path.join(this.dir, file)
    await mkdir(path.dirname(at), { recursive: true })
    // Renamed into place: a running program may be reading the old one.
    await writeFile(`${at}.new`, content)
    await rename(`${at}.new`, at)
  }

  async read(file: string): Promise<string> {
    return await readFile(path.join(this.dir, file), 'utf8')
  }

  /** Adds a guest with a disk or a root folder that has some bytes in it. */
  async addGuest(guest: PveGuest): Promise<void> {
    const { vmid, type, name } = guest
    const folder = type === 'qemu' ? 'qemu-server' : 'lxc'
    const lines = [
      type === 'qemu' ? `name: ${name}` : `hostname: ${name}`,
      'memory: 512',
      `${type === 'qemu' ? 'scsi0' : 'rootfs'}: disks:${vmid}/vm-${vmid}-disk-0.raw,size=1M`,
    ]
    await this.put(`/etc/pve/nodes/${this.node}/${folder}/${vmid}.conf`, `${[...lines, ...(guest.lines ?? [])].sort().join('\n')}\n`)
    const disk = new Uint8Array(DISK_BYTES)
    for (let i = 0; i < DISK_BYTES; i += 4096) disk.set(new TextEncoder().encode(`${name} ${vmid} ${i}`), i)
    await this.put(`/srv/disks/images/${vmid}/vm-${vmid}-disk-0.raw`, disk)
    if (type === 'lxc') await this.put(`/${LAB_FOLDER}/ct/${vmid}/rootfs/etc/hostname`, `${name}\n`)
    await this.put(`/${LAB_FOLDER}/guests/${vmid}.json`, JSON.stringify({ status: guest.running ? 'running' : 'stopped', since: 0 }))
  }

  /** Somebody destroyed it. */
  async removeGuest(vmid: number): Promise<void> {
    for (const kind of ['qemu-server', 'lxc']) await rm(path.join(this.dir, `etc/pve/nodes/${this.node}/${kind}/${vmid}.conf`), { force: true })
  }

  /** Makes backups of these guests go wrong from now on; `{}` lifts all faults. */
  async setFaults(faults: Readonly<Record<number, BackupFault>>): Promise<void> {
    await this.put('/etc/nightshift-lab/pve.json', JSON.stringify({ node: this.node, host_cpus: 2, backup_faults: faults }))
  }

  /** Runs a program with the host's clock at `now`; Proxmox' programs are the emulated ones. */
  async run(argv: readonly string[], now: Date, options: RunOptions = {}): Promise<Ran> {
    const [program = '', ...args] = argv
    const result = await execa(program, args, {
      reject: false,
      stripFinalNewline: false,
      input: options.input ?? '',
      timeout: options.deadlineMs ?? 60_000,
      extendEnv: false,
      env: this.environment(now, options.asWhole === true),
    })
    if (result.exitCode === undefined) throw new Error(`${program}: ${result.shortMessage}`)
    return { exitCode: result.exitCode, stdout: String(result.stdout), stderr: String(result.stderr) }
  }

  /**
   * This host as the product's transport reaches it (`SshPool.run`): any alias, the clock asked anew for every command.
   * @param asWhole the host's own files, clock and systemd also stand where programs look for the machine's
   */
  ssh(now: () => Date, asWhole = false): { run(alias: string, request: RunRequest): Promise<RunResult> } {
    return {
      run: async (alias, request) => {
        const started = performance.now()
        const input = asWhole && typeof request.stdin === 'string' ? this.moved(request.stdin) : request.stdin
        const said = await this.run(request.argv, now(), { input, deadlineMs: request.deadlineMs, asWhole })
        const ran = asWhole ? { ...said, stdout: said.stdout.replaceAll(`${this.dir}/etc/`, '/etc/') } : said
        const ok = request.okExitCodes ?? [0]
        if (ok !== 'any' && !ok.includes(ran.exitCode))
          throw new SshError({
            reason: 'exit_code',
            host: alias,
            message: `${alias}: the command ended with exit code ${ran.exitCode}`,
            next: 'read what it wrote to stderr',
            exitCode: ran.exitCode,
            stderrTail: ran.stderr,
          })
        const bytes = new TextEncoder()
        return {
          exitCode: ran.exitCode,
          stdout: bytes.encode(ran.stdout),
          stderr: bytes.encode(ran.stderr),
          stdoutText: ran.stdout,
          stderrText: ran.stderr,
          durationMs: performance.now() - started,
          connectMs: 0,
          reusedConnection: true,
        }
      },
    }
  }

  /** A program of the product with the files and programs of this host instead of the machine's. */
  private moved(program: string): string {
    return program.replace(OF_THE_HOST, (file) => this.dir + file).replaceAll('/usr/sbin:/usr/bin:/sbin:/bin', (path) => `${HOST_PROGRAMS}:${path}`)
  }

  /**
   * Lets the host's scheduler run from one clock to another and gives the jobs it started. More than two minutes after the last stretch the host was off
   * in between: what it missed is not caught up, but for jobs with `repeat-missed`.
   */
  async play(from: Date, to: Date): Promise<{ at: Date; job: string }[]> {
    const ran = await this.run(['nightshift-lab-pve', 'play', seconds(from), seconds(to)], from)
    if (ran.exitCode !== 0 || ran.stderr !== '') throw new Error(`playing ${from.toISOString()} to ${to.toISOString()} failed: ${ran.stderr}`)
    return [...ran.stdout.matchAll(/^(\d+) started (\S+)$/gm)].map(([, at, job]) => ({ at: new Date(Number(at) * 1000), job: job ?? '' }))
  }

  /** Mails that were handed to the host's sendmail, oldest first. */
  async mails(): Promise<string[]> {
    const spool = path.join(this.dir, 'var/spool/nightshift-lab-mail')
    if (!existsSync(spool)) return []
    return await Promise.all((await readdir(spool)).sort().map((name) => readFile(path.join(spool, name), 'utf8')))
  }

  /** What changed on this host, oldest first. */
  async ledger(): Promise<Effect[]> {
    if (!existsSync(path.join(this.dir, LAB_FOLDER, 'ledger.jsonl'))) return []
    const lines = (await this.read(`${LAB_FOLDER}/ledger.jsonl`)).trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line) as Effect)
  }

  /** Holds the next effect that fits before its command answers: `kill job.set *`, `block archive.write *` (see lab/pve/README.md). */
  async holdAfter(action: 'block' | 'kill', pattern: string): Promise<void> {
    await this.put(`/${LAB_FOLDER}/hold-after-effect`, `${action} ${pattern}\n`)
  }

  /** The effect that is held now, if any. */
  async held(): Promise<Effect | undefined> {
    return existsSync(path.join(this.dir, LAB_FOLDER, 'held-after-effect'))
      ? (JSON.parse(await this.read(`${LAB_FOLDER}/held-after-effect`)) as Effect)
      : undefined
  }

  /** Lets the held command answer. */
  async release(): Promise<void> {
    await rm(path.join(this.dir, LAB_FOLDER, 'held-after-effect'), { force: true })
  }

  /** Removes the host. A backup that stands still ends within a second of it. */
  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  private environment(now: Date, asWhole: boolean): Record<string, string> {
    return {
      PATH: [emulatorBin(), ...(asWhole ? [HOST_PROGRAMS] : []), process.env.PATH ?? '/usr/bin:/bin'].join(':'),
      LC_ALL: 'C.UTF-8',
      TZ: this.timeZone,
      NIGHTSHIFT_LAB_ROOT: this.dir,
      NIGHTSHIFT_LAB_NOW: seconds(now),
    }
  }
}

function seconds(at: Date): string {
  return String(Math.floor(at.getTime() / 1000))
}

function jobSection({ id, schedule, ...options }: PveJob): string {
  const rest = Object.entries({ enabled: 1, ...options }).sort(([a], [b]) => (a < b ? -1 : 1))
  return `vzdump: ${id}\n\tschedule ${schedule}\n${rest.map(([key, value]) => `\t${key} ${value}\n`).join('')}\n`
}
