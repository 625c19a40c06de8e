/** The hosts of a lab under faults: what they were like, what changed them, and a command held between its effect and its answer. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
/** The switch of the ledger (`lab/pve/README.md`), and the effect that it holds. */
const HOLD = `${FOLDER}/hold-after-effect`
const HELD = `${FOLDER}/held-after-effect`
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
  const script = `rm -f ${HOLD} ${HELD}; systemctl stop pvescheduler 'nightshift-*' 2>/dev/null
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
export type Ledgers = ReadonlyMap<string, number>

export async function ledgerLength(lab: Lab): Promise<Ledgers> {
  return new Map(await Promise.all([...lab.hosts.values()].map(async (host) => [host.name, (await ledgerOf(host)).length] as const)))
}

export interface MadeEffect {
  /** `effect EFFECT.N on HOST`: the Nth of its kind. A subject may be called otherwise in another lab: an archive has its time in its name. */
  readonly point: string
  readonly subject: string
  /** `EFFECT SUBJECT on HOST ARGUMENTS`; a UPID is another one each time. */
  readonly what: string
}

/** Since then, oldest first on each host. What the hosts' own schedulers did is not ours. */
export async function effectsOf(lab: Lab, from: Ledgers): Promise<MadeEffect[]> {
  const made = await Promise.all([...lab.hosts.values()].map((host) => effectsOn(host, from.get(host.name))))
  return made.flat()
}

async function effectsOn(host: LabHost, from: number | undefined): Promise<(MadeEffect & { pid: number })[]> {
  const counts = new Map<string, number>()
  const ours = (await ledgerOf(host)).slice(from).filter(({ by }) => !/^(pvescheduler|nightshift-lab-pve)\b/.test(by))
  return ours.map(({ effect, subject, detail: { upid: _, ...detail }, pid }) => {
    const count = (counts.get(effect) ?? 0) + 1
    counts.set(effect, count)
    return { point: `effect ${effect}.${count} on ${host.name}`, subject, what: `${effect} ${subject} on ${host.name} ${canonicalJson(detail)}`, pid }
  })
}

/** Stops every command that made an effect before it answers, one after the other. */
export class EffectGate {
  private readonly hosts: readonly LabHost[]

  /** @param from lines of the ledgers before the run */
  constructor(
    lab: Lab,
    private readonly from: Ledgers,
  ) {
    this.hosts = [...lab.hosts.values()].filter(({ kind }) => kind === 'proxmox')
    for (const host of this.hosts) arm(host)
  }

  /** Waits for the next one. @returns undefined when the run was over before */
  async next(over: AbortSignal): Promise<HeldEffect | undefined> {
    while (!over.aborted) {
      const host = this.hosts.find((each) => existsSync(join(each.root(), HELD)))
      if (host !== undefined) {
        const { pid } = JSON.parse(readFileSync(join(host.root(), HELD), 'utf8')) as LedgerLine
        const effect = (await effectsOn(host, this.from.get(host.name))).findLast((each) => each.pid === pid)
        return new HeldEffect(host, pid, effect?.point ?? 'an effect that is in no ledger')
      }
      await delay(POLL_MS)
    }
    return undefined
  }

  /** Nothing is held any more. */
  close(): void {
    for (const host of this.hosts) for (const file of [HOLD, HELD]) rmSync(join(host.root(), file), { force: true })
  }
}

/** A host that another runbook's scenario needs, and nobody has prepared yet, has no such folder. */
function arm(host: LabHost): void {
  mkdirSync(join(host.root(), FOLDER), { recursive: true })
  writeFileSync(join(host.root(), HOLD), 'block *\n')
}

/** A command that made its effect and has not answered. */
export class HeldEffect {
  constructor(
    private readonly host: LabHost,
    private readonly pid: number,
    readonly point: string,
  ) {}

  /** Ends the command and everything of the session that called it, so that nobody reads the effect back. */
  async killCommand(): Promise<void> {
    const { parent, session } = this.processOf(this.pid)
    const sessions = new Set([session, parent > 1 ? this.processOf(parent).session : session])
    await this.host.exec(['pkill', '-KILL', '-s', [...sessions].join(',')])
  }

  /** Lets it answer; the next effect on this host is held. */
  release(): void {
    // In this order: a command may make its next effect at once.
    arm(this.host)
    rmSync(join(this.host.root(), HELD), { force: true })
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
