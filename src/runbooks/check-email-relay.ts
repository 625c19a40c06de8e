/** What no single value of `email-relay.yaml` can show: hosts that have to be Proxmox hosts, exceptions of hosts that are there, things that are there twice. */
import { refuseMoreThanApprovers, rowsAt, twice } from './check-vzdump.js'
import type { RunbookProblem } from './problems.js'
import { didYouMean, oneOfThese } from './suggest.js'
import { inert } from './text-rules.js'
import type { YamlSource } from './yaml-source.js'

export function checkEmailRelay(source: YamlSource, estate: YamlSource | undefined): { problems: RunbookProblem[]; warnings: RunbookProblem[] } {
  const problems = [...refuseMoreThanApprovers(source, ['approval']), ...twice(source, ['hosts'], 'host', 'host')]
  const namesOf = (rows: readonly Record<string, unknown>[], key: string) =>
    rows.map((row) => row[key]).filter((name): name is string => typeof name === 'string')
  const refuseUnknown = (list: string, known: readonly string[], what: string) => {
    for (const [index, row] of rowsAt(source, [list]).entries()) {
      if (typeof row.host !== 'string' || known.includes(row.host)) continue
      const hint = didYouMean(row.host, known)
      problems.push(source.problem([list, index, 'host'], { found: inert(row.host), allowed: oneOfThese(what, known), hint }))
    }
  }
  const proxmox = rowsAt(estate, ['hosts']).filter((host) => host.kind === 'proxmox')
  if (estate !== undefined) refuseUnknown('hosts', namesOf(proxmox, 'name'), 'a host of kind proxmox in estate.yaml')
  refuseUnknown('exceptions', namesOf(rowsAt(source, ['hosts']), 'host'), 'a host of this file')
  return { problems, warnings: [] }
}
