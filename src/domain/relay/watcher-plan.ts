/** The watcher as `emailRelay` puts it in place and takes it away, and as the daily gate sees it. Read with the ways of mail of its host, in one command. */
import { sha256Hex } from '../canonical.js'
import type { Check, Effect, PlanStep } from '../change/plan.js'
import type { GateResult } from '../gates.js'
import { fileOf, outputOf, type Question, type RelayObservation, Unreadable } from './observation.js'
import { type WatcherFile, type WatcherOrder, type WatcherPaths, watcherFiles, watcherPaths } from './watcher.js'

/** As `systemctl show` prints it. */
interface TimerState {
  readonly active: string
  /** Empty when systemd knows no such unit. */
  readonly unitFile: string
  readonly needsReload: string
}

const RUNNING: TimerState = { active: 'active', unitFile: 'enabled', needsReload: 'no' }
const PROPERTIES = ['ActiveState', 'UnitFileState', 'NeedDaemonReload'] as const

const timerName = (paths: WatcherPaths) => paths.timer.slice(paths.timer.lastIndexOf('/') + 1)
// One call a property: systemd prints several in an order of its own.
const asked = (paths: WatcherPaths, property: string) => ['systemctl', 'show', '--value', `--property=${property}`, timerName(paths)]

/** What has to be asked of a host to plan or judge its watcher, also where none is declared: one may be left over. */
export function watcherQuestions(estate: string): Question[] {
  const paths = watcherPaths(estate)
  return [
    ...(['script', 'service', 'timer'] as const).map((part): Question => ({ name: `watcher ${part}`, kind: 'file', path: paths[part] })),
    ...PROPERTIES.map((property): Question => ({ name: `watcher ${property}`, kind: 'run', argv: asked(paths, property) })),
    { name: 'watcher folder', kind: 'run', argv: folderQuestion(paths) },
    {
      name: 'watcher state',
      kind: 'run',
      argv: ['sh', '-c', 'for f in mark said; do [ ! -e "$1/$f" ] || echo "$f $(($(date +%s) - $(stat -c %Y "$1/$f")))"; done', 'sh', paths.folder],
    },
    { name: 'watcher programs', kind: 'run', argv: ['sh', '-c', 'for p in sendmail curl wget; do command -v "$p" || true; done'] },
  ]
}

/** Prints the folder's path, or nothing where there is none. */
const folderQuestion = ({ folder }: WatcherPaths) => ['find', '/var/lib', '-maxdepth', '1', '-name', folder.slice(folder.lastIndexOf('/') + 1)]

/**
 * The steps that bring a host's watcher to what is declared; none when it is so.
 * @param order null: no watcher is declared for this host, and what one left behind goes
 * @throws Unreadable with the reason
 */
export function planWatcher(order: WatcherOrder | null, estate: string, seen: RelayObservation): PlanStep[] {
  return order === null ? stepsAway(estate, seen) : stepsInto(order, seen)
}

function stepsInto(order: WatcherOrder, seen: RelayObservation): PlanStep[] {
  const paths = watcherPaths(order.estate)
  const timer = timerOf(seen)
  const wanted = watcherFiles(order, paths)
  const files = (['script', 'service', 'timer'] as const).flatMap((part) => writeStep(order, part, wanted[part], fileOf(seen, `watcher ${part}`)))
  const unitsChange = files.some(({ id }) => !id.includes('script'))
  if (isSame(timer, RUNNING) && !unitsChange) return files
  const start: PlanStep = {
    id: 'start the watcher',
    what: `Let systemd start the watcher on ${order.host} every minute`,
    host: order.host,
    effect: { kind: 'command', argv: ['sh', '-c', 'systemctl daemon-reload && systemctl enable "$1" && systemctl restart "$1"', 'sh', timerName(paths)] },
    destructive: [],
    // By then the files are written, so that systemd knows the unit.
    before: [asCheck(paths, 'ActiveState', timer.active), asCheck(paths, 'UnitFileState', timer.unitFile === '' ? 'disabled' : timer.unitFile)],
    after: timerChecks(paths, RUNNING),
    undo: { effect: wasRunning(timer) ? systemctl('restart', paths) : systemctl('disable --now', paths) },
    diff: [{ field: timerName(paths), from: inWords(timer), to: inWords(RUNNING) }],
    removes: [],
  }
  return [...files, start]
}

function stepsAway(estate: string, seen: RelayObservation): PlanStep[] {
  const paths = watcherPaths(estate)
  const timer = timerOf(seen)
  const host = seen.host
  const steps: PlanStep[] = []
  if (wasRunning(timer)) {
    steps.push({
      id: 'stop the watcher',
      what: `Stop the watcher on ${host}: email-relay.yaml declares none there`,
      host,
      effect: systemctl('disable --now', paths),
      destructive: ['lessens protection'],
      before: timerChecks(paths, timer).slice(0, 2),
      after: [asCheck(paths, 'ActiveState', 'inactive'), asCheck(paths, 'UnitFileState', 'disabled')],
      undo: { effect: systemctl('enable --now', paths) },
      diff: [{ field: timerName(paths), from: inWords(timer), to: 'stopped' }],
      removes: [],
    })
  }
  for (const part of ['timer', 'service', 'script'] as const) {
    const there = fileOf(seen, `watcher ${part}`)
    if (there.sha256 === null || there.text === null) continue
    const path = paths[part]
    steps.push({
      id: `remove the watcher's ${part}`,
      what: `Remove ${path} from ${host}`,
      host,
      effect: { kind: 'remove-file', path },
      destructive: ['lessens protection'],
      before: [{ kind: 'file', path, sha256: there.sha256 }],
      after: [{ kind: 'file', path, sha256: null }],
      undo: { effect: { kind: 'write-file', path, mode: there.mode ?? '0644', content: there.text } },
      diff: [{ field: path, from: 'there', to: null }],
      removes: [],
    })
  }
  if (outputOf(seen, 'watcher folder').trim() !== '') {
    const found = (stdout: string): Check => ({ kind: 'command', argv: folderQuestion(paths), stdout })
    steps.push({
      id: "remove the watcher's folder",
      what: `Remove ${paths.folder} from ${host}: the last mark, and whether a silence was told`,
      host,
      effect: { kind: 'command', argv: ['rm', '-r', '-f', paths.folder] },
      destructive: [],
      before: [found(paths.folder)],
      after: [found('')],
      undo: { effect: { kind: 'command', argv: ['mkdir', '-p', paths.folder] } },
      diff: [{ field: paths.folder, from: 'there', to: null }],
      removes: [],
    })
  }
  return steps
}

function writeStep(order: WatcherOrder, part: string, wanted: WatcherFile, there: ReturnType<typeof fileOf>): PlanStep[] {
  const { path, mode, content } = wanted
  const sha256 = sha256Hex(content)
  if (there.sha256 === sha256 && there.mode === mode) return []
  const before: Effect = there.text === null ? { kind: 'remove-file', path } : { kind: 'write-file', path, mode: there.mode ?? mode, content: there.text }
  const ways = [...(order.mailTo === null ? [] : [`mails ${order.mailTo}`]), ...(order.webhook === null ? [] : [`posts to ${order.webhook}`])].join(' and ')
  return [
    {
      id: `write the watcher's ${part}`,
      what:
        part === 'script'
          ? `Write the watcher of site ${order.watches} to ${order.host}: it ${ways} when nightshift has left no mark for ${order.limitSeconds / 60} minutes`
          : `Write ${path} on ${order.host}`,
      host: order.host,
      effect: { kind: 'write-file', path, mode, content },
      destructive: [],
      before: [{ kind: 'file', path, sha256: there.sha256, ...(there.mode === null ? {} : { mode: there.mode }) }],
      after: [{ kind: 'file', path, sha256, mode }],
      undo: { effect: before },
      diff: [{ field: path, from: there.text, to: content }],
      removes: [],
    },
  ]
}

/** Paths of this watcher's files that were read from the host and are there byte for byte. */
export function watcherFilesInPlace(order: WatcherOrder, { answers }: RelayObservation): string[] {
  return Object.entries(watcherFiles(order)).flatMap(([part, { path, content }]) => {
    const there = answers[`watcher ${part}`]
    return there?.kind === 'file' && there.sha256 === sha256Hex(content) ? [path] : []
  })
}

/**
 * The gate `watcher/HOST`: is it there exactly as declared, does it run, can it speak, and is the mark fresh?
 * What the gate accepts as the watcher's own way of mail is the declared script, byte for byte.
 */
export function watcherGate(order: WatcherOrder, seen: RelayObservation): GateResult {
  const id = `watcher/${order.host}`
  const next = `nightshift run emailRelay '{"host":"${order.host}"}'`
  const gate = (state: GateResult['state'], reason: string, message: string, then: string | null = next): GateResult => ({
    id,
    state,
    reason,
    message,
    next: then,
  })
  try {
    const wanted = watcherFiles(order)
    for (const part of ['script', 'service', 'timer'] as const) {
      const there = fileOf(seen, `watcher ${part}`)
      if (there.sha256 === null) return gate('failed', 'not_in_place', `there is no ${wanted[part].path}: nobody notices when nightshift is silent`)
      if (there.sha256 !== sha256Hex(wanted[part].content)) return gate('failed', 'changed', `${wanted[part].path} is not as email-relay.yaml declares it`)
    }
    const timer = timerOf(seen)
    if (!isSame(timer, RUNNING)) return gate('failed', 'not_running', `its timer is ${inWords(timer)}`)
    const programs = outputOf(seen, 'watcher programs')
    if (order.mailTo !== null && !programs.includes('/sendmail')) return gate('failed', 'no_way', 'there is no sendmail to mail by', 'install Postfix')
    if (order.webhook !== null && !/\/(curl|wget)\n/.test(programs))
      return gate('failed', 'no_way', 'there is neither curl nor wget to post with', 'apt install curl')
    const state = outputOf(seen, 'watcher state')
    const age = /^mark (-?\d+)$/m.exec(state)?.[1]
    if (age === undefined)
      return gate('unknown', 'no_mark', 'it runs, and nightshift has left no mark yet', 'wait for the next pass, then: nightshift run driftGates')
    const minutes = Math.floor(Number(age) / 60)
    if (Number(age) > order.limitSeconds) return gate('failed', 'mark_old', `the last mark is ${minutes} min old, expected one every pass`, 'nightshift doctor')
    return gate('passed', 'ok', `watches site ${order.watches}; the last mark is ${minutes} min old`, null)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return gate('unknown', 'not_looked_at', error.message, 'nightshift doctor')
  }
}

function timerOf(seen: RelayObservation): TimerState {
  const [active, unitFile, needsReload] = PROPERTIES.map((property) => outputOf(seen, `watcher ${property}`).trim())
  return { active: active ?? '', unitFile: unitFile ?? '', needsReload: needsReload ?? '' }
}

function timerChecks(paths: WatcherPaths, state: TimerState): Check[] {
  return [asCheck(paths, 'ActiveState', state.active), asCheck(paths, 'UnitFileState', state.unitFile), asCheck(paths, 'NeedDaemonReload', state.needsReload)]
}

function asCheck(paths: WatcherPaths, property: (typeof PROPERTIES)[number], stdout: string): Check {
  return { kind: 'command', argv: asked(paths, property), stdout }
}

const systemctl = (verb: string, paths: WatcherPaths): Effect => ({ kind: 'command', argv: ['systemctl', ...verb.split(' '), timerName(paths)] })
const wasRunning = (timer: TimerState) => timer.active === 'active' || timer.unitFile === 'enabled'
const isSame = (a: TimerState, b: TimerState) => a.active === b.active && a.unitFile === b.unitFile && a.needsReload === b.needsReload

function inWords({ active, unitFile, needsReload }: TimerState): string {
  return [active, unitFile === '' ? 'unknown to systemd' : unitFile, ...(needsReload === 'yes' ? ['changed since systemd read it'] : [])].join(', ')
}
