/** `nightshift doctor`: looks at everything that the monitor needs, and says what to do. Changes nothing. Exit codes: 0 well, 1 warnings, 2 failures, 3 unknown. */
import picocolors from 'picocolors'
import { checkChannels } from './doctor/channels.js'
import { type Check, type CheckResult, checkLines, doctorExitCode } from './doctor/check.js'
import { checkPeriod, checkRunbooks, checkSshFiles } from './doctor/files.js'
import { checkReceipts, checkState } from './doctor/state.js'
import { outputWidth, printJson, wantsColour } from './output.js'

export interface DoctorOptions {
  readonly config: string
  readonly json: boolean
  /** Look at files and state only: no host, no server. */
  readonly offline: boolean
}

/** What `--json` prints. */
export interface DoctorReport {
  readonly schema: 'nightshift.doctor/1'
  readonly estate: string | null
  readonly counts: Readonly<Record<CheckResult, number>>
  readonly checks: readonly Check[]
}

/** @returns the exit code */
export async function doctor(options: DoctorOptions, now: () => Date = () => new Date()): Promise<number> {
  const screen = new Screen(options.json)
  const { set, checks } = await checkRunbooks(options.config)
  screen.show(checks)
  if (set !== undefined) {
    screen.show([checkPeriod(set), ...checkSshFiles(set), ...checkChannels(set, now()), ...checkState(set, now())])
    screen.show(await checkReceipts(set))
    if (!options.offline) {
      const [{ checkTemporal }, { checkMail }, { checkHosts }] = await Promise.all([
        import('./doctor/temporal.js'),
        import('./doctor/mail.js'),
        import('./doctor/hosts.js'),
      ])
      const [ofTemporal, ofMail, ofHosts] = [checkTemporal(set, now()), checkMail(set, options.config), checkHosts(set, now)]
      screen.show(await ofTemporal)
      screen.show(await ofMail)
      screen.show(await ofHosts)
    }
  }
  return screen.finish(set?.estate.id ?? null)
}

/** Prints checks as they come (for people), or all at the end (JSON). */
class Screen {
  private readonly checks: Check[] = []
  private readonly width = outputWidth()
  private readonly paint: (result: CheckResult, text: string) => string

  constructor(private readonly json: boolean) {
    const colours = picocolors.createColors(wantsColour())
    const of = { ok: colours.green, warn: colours.yellow, fail: colours.red, unknown: colours.magenta }
    this.paint = (result, text) => of[result](text)
  }

  show(checks: readonly Check[]): void {
    this.checks.push(...checks)
    if (this.json) return
    for (const check of checks) process.stdout.write(`${checkLines(check, this.width, this.paint).join('\n')}\n`)
  }

  finish(estate: string | null): number {
    const counts: Record<CheckResult, number> = { ok: 0, warn: 0, fail: 0, unknown: 0 }
    for (const check of this.checks) counts[check.result] += 1
    if (this.json) printJson({ schema: 'nightshift.doctor/1', estate, counts, checks: this.checks } satisfies DoctorReport)
    else process.stdout.write(`\n${counts.fail} failed, ${counts.unknown} unknown, ${counts.warn} warnings, ${counts.ok} ok\n`)
    return doctorExitCode(this.checks)
  }
}
