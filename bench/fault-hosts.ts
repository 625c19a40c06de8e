/** The hosts of a lab under faults: what they were like, what changed them, and a command held between its effect and its answer. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { resetClock } from '../lab/clock.js'
import type { LabHost } from '../lab/host.js'
import type { Lab } from '../lab/lab.js'
import { canonicalJson } from '../src/domain/canonical.js'

type Folders = Readonly<Record<string, readonly string[]>>

const FOLDER = '/var/lib/nightshift-lab'
const COPY = `${FOLDER}/before-faults.tar`
const POLL_MS = 20

const each = async (lab: Lab, folders: Folders, work: (host: LabHost, paths: string[]) => Promise<unknown>): Promise<void> => {
  await Promise.all(Object.entries(folders).map(([name, paths]) => work(lab.host(name), [...paths])))
}

/** Keeps what is in these folders, as it is. */
export async function remember(lab: Lab, folders: Folders): Promise<void> {
  await each(lab, folders, (host, paths) =>
    host.exec(['sh', '-c', `for p; do [ -e "$p" ] || mkdir -p "$p"; done; tar -cf ${COPY} --sparse --format=posix "$@"`, 'sh', ...paths]),
  )
}

/** Brings them back, and ends what a run before may have left behind. */
export async function putBack(lab: Lab, folders: Folders): Promise<void> {
  // The host's scheduler must not meet jobs of one time and a clock of another.
  const script = `rm -f ${FOLDER}/hold-after-effect ${FOLDER}/held-after-effect; systemctl stop pvescheduler 'nightshift-*' 2>/dev/null
find "$@" -mindepth 1 -delete && tar -xf ${COPY} -C /`
  await each(lab, folders, async (host, paths) => {
    await host.exec(['sh', '-c', script, 'sh', ...paths])
    await resetClock(host)
    if (host.kind === 'proxmox') await host.exec(['systemctl', 'start', 'pvescheduler'])
  })
}

interface LedgerLine {
  readonly by: string
  readonly effect: string
  readonly subject: string
  readonly detail: Readonly<Record<string, unknown>>
  readonly pid: number
}

async function ledgerOf(host: LabHost): Promise<LedgerLine[]> {
  const path = join(host.root(), FOLDER, 'ledger.jsonl')
  if (!existsSync(path)) return []
  const text = await readFile(path, 'utf8')
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LedgerLine]))
}

/** Lines in the ledger of each host: what comes later is new. */
export async function ledgerLength(lab: Lab): Promise<ReadonlyMap<string, number>> {
  return new Map(await Promise.all([...lab.hosts.values()].map(async (host) => [host.name, (await ledgerOf(host)).length] as const)))
}

/**
 * `EFFECT SUBJECT ARGUMENTS` since then, oldest first on each host. What the hosts' own schedulers did is not ours, and a UPID is another one each time.
 */
export async function effectsOf(lab: Lab, from: ReadonlyMap<string, number>): Promise<string[]> {
  const lines = await Promise.all([...lab.hosts.values()].map(async (host) => (await ledgerOf(host)).slice(from.get(host.name))))
  return lines
    .flat()
    .filter(({ by }) => !/^(pvescheduler|nightshift-lab-pve)\b/.test(by))
    .map(({ effect, subject, detail: { upid: _, ...detail } }) => `${effect} ${subject} ${canonicalJson(detail)}`)
}

/** A command that made its effect and has not answered. */
export class HeldEffect {
  private constructor(
    private readonly host: LabHost,
    private readonly pid: number,
  ) {}

  /** Waits until an effect is held. @param what `EFFECT SUBJECT` @returns undefined when the run was over before */
  static async await(lab: Lab, what: string, over: AbortSignal): Promise<HeldEffect | undefined> {
    const hosts = [...lab.hosts.values()].filter(({ kind }) => kind === 'proxmox')
    for (const host of hosts) writeFileSync(join(host.root(), FOLDER, 'hold-after-effect'), `block ${what}\n`)
    while (!over.aborted) {
      for (const host of hosts) {
        const path = join(host.root(), FOLDER, 'held-after-effect')
        if (!existsSync(path)) continue
        for (const other of hosts) rmSync(join(other.root(), FOLDER, 'hold-after-effect'), { force: true })
        return new HeldEffect(host, (JSON.parse(readFileSync(path, 'utf8')) as LedgerLine).pid)
      }
      await delay(POLL_MS)
    }
    return undefined
  }

  /** Ends the command and everything of the session that called it, so that nobody reads the effect back. */
  async killCommand(): Promise<void> {
    const { parent, session } = this.processOf(this.pid)
    const sessions = new Set([session, parent > 1 ? this.processOf(parent).session : session])
    await this.host.exec(['pkill', '-KILL', '-s', [...sessions].join(',')])
  }

  async release(): Promise<void> {
    rmSync(join(this.host.root(), FOLDER, 'held-after-effect'), { force: true })
  }

  private processOf(pid: number): { parent: number; session: number } {
    const stat = readFileSync(join(this.host.root(), 'proc', String(pid), 'stat'), 'utf8')
    const [, parent, , session] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    return { parent: parent ?? 0, session: session ?? 0 }
  }
}
