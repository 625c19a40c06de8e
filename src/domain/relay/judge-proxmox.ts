/** The channels of Proxmox itself: targets, matchers, jobs, users and defaults. Pure. */
import { addressesIn, type Found, isAllowed, type RelayContext, strangers } from './finding.js'
import { isOn, jsonOf, linesOf, listOf, type RelayObservation, rowsOf } from './observation.js'

export const ROOT_TARGET = 'mail-to-root'
export const DEFAULT_MATCHER = 'default-matcher'
/** Rules by which a matcher takes only some notifications. */
export const MATCHER_RULES = ['match-field', 'match-severity', 'match-calendar', 'invert-match'] as const

const ENDPOINTS = '/cluster/notifications/endpoints'
const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value))

/** Recipients of a sendmail or smtp endpoint; a user stands for the address that it has, one without an address for nobody. */
function recipientsOf(row: Record<string, unknown>, seen: RelayObservation): string[] {
  const users = listOf(row['mailto-user'])
  if (users.length === 0) return listOf(row.mailto)
  const emails = new Map(rowsOf(seen, 'users').map((user) => [text(user.userid), text(user.email)]))
  return [...listOf(row.mailto), ...users.flatMap((user) => emails.get(user) || [])]
}

export function judgeTargets(seen: RelayObservation, context: RelayContext): Found[] {
  if (context.host.mode === 'disable') return []
  const { rootMailTo, sender } = context.relay
  const found: Found[] = []
  for (const row of rowsOf(seen, 'endpoints sendmail')) {
    const name = text(row.name)
    const to = recipientsOf(row, seen)
    if (name === ROOT_TARGET) {
      const isWanted =
        listOf(row.mailto).join() === rootMailTo && listOf(row['mailto-user']).length === 0 && text(row['from-address']) === sender && !isOn(row.disable)
      if (isWanted) continue
      const insteadOf = (is: string, wanted: string): string => (is === wanted ? is : `${is} instead of ${wanted}`)
      const whom = insteadOf(to.join(', ') || 'nobody', rootMailTo)
      const state = [`to ${whom}`, `from ${insteadOf(text(row['from-address']) || 'root', sender)}`, ...(isOn(row.disable) ? ['disabled'] : [])].join(', ')
      found.push({ place: `target ${name}`, found: state, fix: `send it to ${rootMailTo} from ${sender}`, isPlanned: true })
    } else if (!isOn(row.disable) && strangers(to, context).length > 0) {
      const fix = `pvesh set ${ENDPOINTS}/sendmail/${name} --disable 1`
      found.push({ place: `target ${name}`, found: `a sendmail target to ${strangers(to, context).join(', ')}`, fix, isPlanned: true })
    }
  }
  if (!rowsOf(seen, 'targets').some((row) => row.name === ROOT_TARGET)) {
    found.push({ place: `target ${ROOT_TARGET}`, found: 'it is not there', fix: 'delete the sections of that name in /etc/pve/notifications.cfg' })
  }
  for (const type of ['smtp', 'gotify', 'webhook']) {
    for (const row of rowsOf(seen, `endpoints ${type}`)) {
      if (isOn(row.disable)) continue
      const where = type === 'smtp' ? `${text(row.server)} for ${recipientsOf(row, seen).join(', ') || 'nobody'}` : text(row.server ?? row.url)
      const name = text(row.name)
      const fix = `pvesh set ${ENDPOINTS}/${type}/${name} --disable 1, or accept it under exceptions: in email-relay.yaml`
      found.push({ place: `target ${name}`, found: `a target of type ${type}, past Postfix: ${where}`, fix })
    }
  }
  for (const row of rowsOf(seen, 'targets')) {
    if (isOn(row.disable) || ['sendmail', 'smtp', 'gotify', 'webhook'].includes(text(row.type))) continue
    const fix = 'disable it under Datacenter → Notifications, or accept it under exceptions: in email-relay.yaml'
    found.push({ place: `target ${text(row.name)}`, found: `a target of type ${text(row.type)}, which is not known here`, fix })
  }
  return found
}

export function judgeMatchers(seen: RelayObservation, context: RelayContext): Found[] {
  const rows = rowsOf(seen, 'matchers')
  const enabled = rows.filter((row) => !isOn(row.disable))
  if (context.host.mode === 'disable') {
    return enabled.map((row) => ({
      place: `matcher ${text(row.name)}`,
      found: `it sends to ${listOf(row.target).join(', ') || 'nobody'}`,
      fix: `pvesh set /cluster/notifications/matchers/${text(row.name)} --disable 1`,
      isPlanned: true,
    }))
  }
  const row = rows.find((each) => each.name === DEFAULT_MATCHER)
  const rules = MATCHER_RULES.filter((rule) => listOf(row?.[rule]).length > 0 && !(rule === 'invert-match' && !isOn(row?.[rule])))
  const isWanted = row !== undefined && !isOn(row.disable) && listOf(row.target).join() === ROOT_TARGET && rules.length === 0
  if (isWanted) return []
  const says =
    row === undefined
      ? 'it is not there'
      : `to ${listOf(row.target).join(', ') || 'nobody'}${isOn(row.disable) ? ', disabled' : ''}${rules.map((rule) => `, ${rule}`).join('')}`
  return [{ place: `matcher ${DEFAULT_MATCHER}`, found: says, fix: `let it send everything to ${ROOT_TARGET}`, isPlanned: row !== undefined }]
}

/** Edits by hand: what stands in the files and is not there for the API, and targets that cannot be used because their private part is missing. */
export function judgeNotificationFiles(seen: RelayObservation): Found[] {
  const known = new Set([...rowsOf(seen, 'targets'), ...rowsOf(seen, 'matchers')].map((row) => text(row.name)))
  const sections = (name: string) => linesOf(seen, name).flatMap((file) => file.lines.map(({ text: line }) => line.trim().replace(/\s+/, ' ')))
  const priv = new Set(sections('priv/notifications.cfg'))
  return sections('notifications.cfg').flatMap((section): Found[] => {
    const [type = '', name = ''] = section.split(': ')
    const place = `/etc/pve/notifications.cfg: ${name}`
    if (!known.has(name)) return [{ place, found: 'the API does not know this section', fix: 'delete the section, or repair what it says' }]
    const needsPrivate = ['smtp', 'gotify', 'webhook'].includes(type)
    if (!needsPrivate || priv.has(section)) return []
    return [{ place, found: 'its section in priv/notifications.cfg is missing: it tells nobody', fix: 'delete the target, or set its secret again' }]
  })
}

export function judgeJobs(seen: RelayObservation, _context: RelayContext): Found[] {
  // Rows of vzdump.cron are named after its content; to set one would move it. They are a channel of their own.
  const jobs = rowsOf(seen, 'jobs').filter((job) => !/^[0-9a-f]{40}:\d+$/.test(text(job.id)))
  return jobs.flatMap((job): Found[] => {
    const id = text(job.id)
    const fix = `pvesh set /cluster/backup/${id} --delete mailto --notification-mode notification-system`
    const to = listOf(job.mailto)
    if (to.length > 0) return [{ place: `job ${id}: mailto`, found: to.join(', '), fix, isPlanned: true }]
    if (job['notification-mode'] !== 'legacy-sendmail') return []
    return [{ place: `job ${id}: notification-mode`, found: 'legacy-sendmail without mailto: nobody is told', fix, isPlanned: true }]
  })
}

export function judgeVzdumpCron(seen: RelayObservation): Found[] {
  return linesOf(seen, 'vzdump.cron').flatMap((file) =>
    file.lines
      .filter(({ text: line }) => /\bvzdump\b/.test(line))
      .map(({ line, text: entry }) => ({
        place: `${file.path}: ${/--mailto\s+(\S+)/.exec(entry)?.[1] ?? 'vzdump'}`,
        found: `line ${line}: ${entry.trim().slice(0, 160)}`,
        fix: 'make it a job under Datacenter → Backup and remove the line',
      })),
  )
}

export function judgeVzdumpDefaults(seen: RelayObservation): Found[] {
  return confLines(seen)
    .filter(({ key, value }) => key === 'mailto' || (key === 'notification-mode' && value === 'legacy-sendmail'))
    .map(({ path, key, value }) => ({ place: `${path}: ${key}`, found: value, fix: `remove ${key} from ${path}` }))
}

export function judgeHookScripts(seen: RelayObservation): Found[] {
  const jobs = rowsOf(seen, 'jobs').filter((job) => text(job.script) !== '')
  const fix = 'read what it sends; remove it, or accept it under exceptions: in email-relay.yaml'
  return [
    ...jobs.map((job) => ({ place: `job ${text(job.id)}: script`, found: text(job.script), fix })),
    ...confLines(seen)
      .filter(({ key }) => key === 'script')
      .map(({ path, value }) => ({ place: `${path}: script`, found: value, fix })),
    ...linesOf(seen, 'guest hookscripts').flatMap((file) => file.lines.map(({ text: line }) => ({ place: `${file.path}: hookscript`, found: line, fix }))),
  ]
}

function confLines(seen: RelayObservation): { path: string; key: string; value: string }[] {
  return linesOf(seen, 'vzdump.conf').flatMap((file) =>
    file.lines.map(({ text: line }) => {
      const [, key = '', value = ''] = /^\s*([a-z-]+)\s*[:=]\s*(.*?)\s*$/.exec(line) ?? []
      return { path: file.path, key, value }
    }),
  )
}

export function judgeUsers(seen: RelayObservation, context: RelayContext): Found[] {
  return rowsOf(seen, 'users')
    .filter((user) => text(user.email) !== '' && !isAllowed(text(user.email), context))
    .map((user) => ({
      place: `user ${text(user.userid)}: email`,
      found: text(user.email),
      fix: `pveum user modify ${text(user.userid)} --email ${context.relay.rootMailTo}`,
    }))
}

export function judgeDatacenter(seen: RelayObservation, context: RelayContext): Found[] {
  const options = jsonOf(seen, 'options') as Record<string, unknown> | null
  const from = text(options?.email_from)
  const notify = typeof options?.notify === 'object' ? JSON.stringify(options.notify) : text(options?.notify)
  return [
    ...(strangers(addressesIn(from), context).length === 0
      ? []
      : [{ place: 'datacenter: email_from', found: from, fix: 'pvesh set /cluster/options --delete email_from' }]),
    ...(/target-/.test(notify) ? [{ place: 'datacenter: notify', found: notify, fix: 'remove the target-… parts; matchers decide' }] : []),
  ]
}
