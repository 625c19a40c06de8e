/** What no single value of `email-relay.yaml` can show: hosts that have to be Proxmox hosts, exceptions of hosts that are there, things that are there twice. */
import { refuseMoreThanApprovers, rowsAt, twice } from './check-vzdump.js'
import type { RunbookProblem } from './problems.js'
import { didYouMean, oneOfThese } from './suggest.js'
import { inert } from './text-rules.js'
import type { YamlSource } from './yaml-source.js'

export function checkEmailRelay(source: YamlSource, estate: YamlSource | undefined): { problems: RunbookProblem[]; warnings: RunbookProblem[] } {
  const problems = [
    ...refuseMoreThanApprovers(source, ['approval']),
    ...twice(source, ['hosts'], 'host', 'host'),
    ...twice(source, ['watcher'], 'watches', 'site'),
  ]
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
  refuseUnknown('watcher', namesOf(rowsAt(source, ['hosts']), 'host'), 'a host of this file')
  problems.push(...watchersThatSeeNothing(source, estate))
  return { problems, warnings: [] }
}

/** A watcher has to stand elsewhere than what it watches, and to have a way to say it. */
function watchersThatSeeNothing(source: YamlSource, estate: YamlSource | undefined): RunbookProblem[] {
  const sites = rowsAt(estate, ['sites']).map(({ id }) => String(id))
  return rowsAt(source, ['watcher']).flatMap((row, index) => {
    const site = rowsAt(estate, ['hosts']).find(({ name }) => name === row.host)?.site
    const mode = rowsAt(source, ['hosts']).find(({ host }) => host === row.host)?.mode
    const found: RunbookProblem[] = []
    if (estate !== undefined && typeof row.watches === 'string' && !sites.includes(row.watches)) {
      const allowed = oneOfThese('a site of estate.yaml', sites)
      found.push(source.problem(['watcher', index, 'watches'], { found: inert(row.watches), allowed, hint: didYouMean(row.watches, sites) }))
    }
    if (site !== undefined && site === row.watches) {
      const hint = 'what stands at the watched site is lost with it'
      found.push(source.problem(['watcher', index, 'host'], { found: `a host of site ${inert(site)}`, allowed: 'a host of another site', hint }))
    }
    if (mode === 'disable' && row.mail_to !== undefined) {
      const hint = 'no mail leaves that host; give the watcher a webhook'
      found.push(source.problem(['watcher', index, 'mail_to'], { found: 'a mail from a host with mode: disable', allowed: 'a host with mode: relay', hint }))
    }
    return found
  })
}
