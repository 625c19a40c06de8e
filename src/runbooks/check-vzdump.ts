/** What no single value of `vzdump.yaml` can show: hosts that have to be Proxmox hosts, and things that are there twice. */
import type { RunbookProblem } from './problems.js'
import { didYouMean, oneOfThese } from './suggest.js'
import { inert } from './text-rules.js'
import type { YamlSource } from './yaml-source.js'
import type { Path } from './yaml-values.js'

type Row = Record<string, unknown>

export function checkVzdump(source: YamlSource, estate: YamlSource | undefined): { problems: RunbookProblem[]; warnings: RunbookProblem[] } {
  const problems: RunbookProblem[] = []
  const proxmoxHosts = rowsAt(estate, ['hosts'])
    .filter((host) => host.kind === 'proxmox')
    .map((host) => host.name)
    .filter((name): name is string => typeof name === 'string')
  const refuseTwice = (path: Path, key: string, what: string) => problems.push(...twice(source, path, key, what))

  problems.push(...refuseMoreThanApprovers(source, ['approval', 'retention']))
  refuseTwice(['hosts'], 'host', 'host')
  for (const [index, row] of rowsAt(source, ['hosts']).entries()) {
    if (estate !== undefined && typeof row.host === 'string' && !proxmoxHosts.includes(row.host)) {
      const allowed = oneOfThese('a host of kind proxmox in estate.yaml', proxmoxHosts)
      problems.push(source.problem(['hosts', index, 'host'], { found: inert(row.host), allowed, hint: didYouMean(row.host, proxmoxHosts) }))
    }
    refuseTwice(['hosts', index, 'jobs'], 'id', 'job')
    refuseTwice(['hosts', index, 'storages'], 'id', 'storage')
    refuseTwice(['hosts', index, 'leftovers'], 'guest', 'guest')
    for (const [at, job] of rowsAt(source, ['hosts', index, 'jobs']).entries()) {
      const path: Path = ['hosts', index, 'jobs', at, 'guests']
      for (const [position, vmid] of (Array.isArray(job.guests) ? (job.guests as unknown[]) : []).entries()) {
        if ((job.guests as unknown[]).indexOf(vmid) === position) continue
        problems.push(source.problem([...path, position], { found: `guest ${inert(vmid)} again`, allowed: 'each guest once in a job' }))
      }
    }
  }
  return { problems, warnings: [] }
}

/** Approvals that nobody could ever give. */
export function refuseMoreThanApprovers(source: YamlSource, parts: readonly string[]): RunbookProblem[] {
  return parts.flatMap((part) => {
    const needed = source.at([part, 'needed'])
    const approvers = source.at([part, 'approvers'])
    if (typeof needed !== 'number' || !Array.isArray(approvers) || new Set(approvers).size >= needed) return []
    const allowed = `at most the ${new Set(approvers).size} different approvers listed`
    return [source.problem([part, 'needed'], { allowed, hint: 'nobody could ever approve: lower it, or list more people' })]
  })
}

/** Rows of a list that have the same `key`. */
export function twice(source: YamlSource, path: Path, key: string, what: string): RunbookProblem[] {
  const firstLines = new Map<unknown, number>()
  return rowsAt(source, path).flatMap((row, index) => {
    const value = row[key]
    if (value === undefined) return []
    const { line } = source.place([...path, index, key])
    const first = firstLines.get(value)
    if (first === undefined) {
      firstLines.set(value, line)
      return []
    }
    return [
      source.problem([...path, index, key], {
        found: `the ${what} ${inert(value)} again`,
        allowed: `each ${what} once`,
        hint: `it stands in line ${first} already`,
      }),
    ]
  })
}

/** The mappings of a list; what is none stands for an empty one. */
export function rowsAt(source: YamlSource | undefined, path: Path): Row[] {
  const value = source?.at(path)
  return Array.isArray(value) ? value.map((row: unknown) => (typeof row === 'object' && row !== null && !Array.isArray(row) ? (row as Row) : {})) : []
}
