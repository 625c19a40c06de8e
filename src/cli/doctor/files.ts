/** The doctor on the configuration folder: runbook files, SSH files, the period of the monitor. */
import { accessSync, constants } from 'node:fs'
import type { RunbookSet } from '../../domain/estate.js'
import { duration } from '../../domain/render/quantities.js'
import { loadRunbooks, RunbookErrors } from '../../runbooks/index.js'
import { loadSshConfig, resolveHost } from '../../ssh/index.js'
import { plainCause } from '../plain-cause.js'
import { type Check, fail, failedWith, ok, warn } from './check.js'

const AREA = 'files'
const VZDUMP_MISSING_NEXT = 'write it beside estate.yaml (docs/runbook-files.md has an example), or name it under files: in estate.yaml'
/** Promise P3: broken freshness is mailed at most 15 minutes after the due limit. */
const MOST_PERIOD_SECONDS = 15 * 60

/** Loads the runbooks. Without a set nothing else can be checked. */
export async function checkRunbooks(configDir: string): Promise<{ readonly set?: RunbookSet; readonly checks: Check[] }> {
  try {
    const set = await loadRunbooks(configDir)
    const enabled = set.inventory.targets.filter((target) => target.enabled).length
    const counted = `${set.estate.hosts.length} hosts, ${set.inventory.targets.length} targets (${enabled} enabled), ${set.calendar.events.length} calendar events`
    const checks = [ok(AREA, 'runbooks', `estate ${set.estate.id}: ${counted}`), checkVzdumpFile(set)]
    for (const { file, line, column, path, found, hint, allowed } of set.warnings) {
      checks.push(warn(AREA, `${file}:${line}:${column}${path === '' ? '' : ` ${path}`}`, `found ${found}`, hint ?? `allowed: ${allowed}`))
    }
    if (enabled === 0)
      checks.push(
        fail(AREA, 'targets', 'no target is enabled, so the monitor watches nothing', 'set enabled: true in inventory.yaml for what has to be watched'),
      )
    return { set, checks }
  } catch (error) {
    if (!(error instanceof RunbookErrors)) return { checks: [failedWith(AREA, 'runbooks', error, 'name the configuration folder with --config DIR')] }
    return {
      checks: error.problems.map(({ file, line, column, path, found, allowed, hint }) =>
        fail(AREA, `${file}:${line}:${column}${path === '' ? '' : ` ${path}`}`, `found ${found}, allowed ${allowed}`, hint ?? 'correct the file'),
      ),
    }
  }
}

/** Without `vzdump.yaml` the monitor works, and no runbook that changes jobs, enrolls guests or removes archives. */
function checkVzdumpFile({ vzdump }: RunbookSet): Check {
  if (vzdump === undefined) return warn(AREA, 'vzdump.yaml', 'missing: vzdumpJobs, vzdumpEnrollment and retentionPrune cannot run', VZDUMP_MISSING_NEXT)
  const jobs = vzdump.hosts.flatMap((host) => host.jobs)
  return ok(AREA, 'vzdump.yaml', `${jobs.length} jobs on ${vzdump.hosts.length} hosts; changes are approved by ${vzdump.approval.approvers.join(', ')}`)
}

export function checkPeriod(set: RunbookSet): Check {
  const seconds = set.estate.monitor.periodSeconds
  if (seconds <= MOST_PERIOD_SECONDS) return ok(AREA, 'period', `a pass every ${duration(seconds)}`)
  return warn(
    AREA,
    'period',
    `a pass every ${duration(seconds)}: promise P3 (broken freshness is told within 15 min) does not hold`,
    'set monitor.every_minutes to 15 or less in estate.yaml',
  )
}

/** ssh_config and known_hosts are there, and every host resolves to an address that can be followed. */
export function checkSshFiles(set: RunbookSet): Check[] {
  const { configPath, knownHostsPaths } = set.estate.ssh
  const checks = [configPath, ...knownHostsPaths].map((path) => readable(path, path === configPath ? 'ssh_config' : 'known_hosts'))
  if (checks[0]?.result !== 'ok') return checks
  for (const host of set.estate.hosts) {
    try {
      resolveHost(loadSshConfig(configPath, host.sshAlias), host.sshAlias)
    } catch (error) {
      checks.push(failedWith(AREA, `ssh_config for ${host.name}`, error, `correct ${configPath}`))
    }
  }
  return checks
}

function readable(path: string, name: string): Check {
  try {
    accessSync(path, constants.R_OK)
    return ok(AREA, name, path)
  } catch (error) {
    const next =
      name === 'known_hosts'
        ? 'nightshift trust HOST records host keys there'
        : 'make it: a Host block with HostName, User and IdentityFile for each host of estate.yaml'
    return fail(AREA, name, plainCause(error), next)
  }
}
