/** Judges the hosts: could they be looked at, is their clock right, are their Proxmox answers to be believed. */
import type { Reading } from '../observation.js'
import type { HostStatus } from '../status.js'
import { lostChannels } from './channels.js'
import type { HostView, Pass } from './pass.js'
import { CLOCK_SKEW_LIMIT_SECONDS, subjectOf } from './pass.js'
import type { ProxmoxView, ProxmoxViews } from './proxmox.js'
import type { Verdict } from './report.js'
import { onHost, report } from './report.js'
import { ageInWords, listInWords } from './words.js'

export function judgeHosts(pass: Pass, proxmox: ProxmoxViews): HostStatus[] {
  return [...pass.hosts.values()].map((view) => {
    const verdict = judgeHost(pass, view, proxmox)
    return {
      host: view.host.name,
      node: view.host.kind === 'proxmox' ? (view.host.node ?? view.host.name) : null,
      site: view.host.site,
      state: verdict.severity === 'ok' || verdict.reason === 'clock_skew' || verdict.reason === 'odd_answer' ? ('OK' as const) : ('UNKNOWN' as const),
      ...verdict,
      clockSkewSeconds: view.skewSeconds,
    }
  })
}

function judgeHost(pass: Pass, view: HostView, proxmox: ProxmoxViews): Verdict {
  if (!view.up) return judgeUnseen(pass, view, proxmox)
  const own = proxmox.get(view.host.name)
  const verdicts = [...(own ? judgeProxmox(pass, view, own) : []), ...judgeReadings(pass, view), ...judgeClock(pass, view)]
  const rank = { critical: 3, unknown: 2, warning: 1, ok: 0 }
  const worst = [...verdicts].sort((a, b) => rank[b.severity] - rank[a.severity])[0]
  return worst ?? { reason: 'ok', severity: 'ok', message: `${view.host.name} answered`, next: null }
}

function judgeUnseen(pass: Pass, view: HostView, proxmox: ProxmoxViews): Verdict {
  const { host, seen } = view
  const said = seen && !seen.outcome.ok ? seen.outcome : null
  const stopped = guestIsStopped(view, proxmox)
  const affected = pass.runbooks.inventory.targets.filter((target) => target.enabled && !target.decommissioned && target.host === host.name).length
  const effect = affected > 0 ? `; its ${affected === 1 ? 'target is' : `${affected} targets are`} unknown` : ''
  const verdict: Verdict = {
    reason: view.reason,
    severity: 'unknown',
    message: `${stopped ?? `${host.name} could not be looked at: ${said?.message ?? 'nobody read it in this pass'}${effect}`}${lostChannels(pass, [host.name])}`,
    next: stopped ? null : (said?.next ?? adviceFor(view)),
  }
  const parent = host.guestOf ? pass.hosts.get(host.guestOf.host) : undefined
  // a guest behind a host that is not there either is no incident of its own
  if (parent && !parent.up) return verdict
  const site = silentSite(pass, host.site)
  if (site) report(pass, subjectOf(host.site, 'monitor', host.site), 'blind', site)
  else report(pass, view.subject, 'blind', verdict)
  return verdict
}

/** A whole site that does not answer (its line is down), or that no worker reads, is one incident and not one per host. */
function silentSite(pass: Pass, site: string): Verdict | null {
  const machines = [...pass.hosts.values()].filter(({ host }) => host.site === site && !host.guestOf)
  const reasons = [...new Set(machines.map(({ reason }) => reason))]
  const [reason] = reasons
  if (machines.length < 2 || reasons.length !== 1 || (reason !== 'connect_timeout' && reason !== 'no_worker')) return null
  if (reason === 'no_worker') {
    return {
      reason,
      severity: 'unknown',
      message: `site ${site} is not looked at: no worker takes its work`,
      next: `start the worker of site ${site}, or take task_queue off it in estate.yaml`,
    }
  }
  const names = listInWords(machines.map(({ host }) => host.name))
  return {
    reason,
    severity: 'unknown',
    message: `none of the hosts of site ${site} answers (${names}): is the way to that site down?${lostChannels(
      pass,
      machines.map(({ host }) => host.name),
    )}`,
    next: `look at the line or the VPN to site ${site}`,
  }
}

function guestIsStopped(view: HostView, proxmox: ProxmoxViews): string | null {
  const { guestOf } = view.host
  if (!guestOf) return null
  const guest = proxmox.get(guestOf.host)?.guests?.get(guestOf.vmid)
  if (!guest || guest.seen.status === 'running') return null
  return `${view.host.name} does not answer because guest ${guestOf.vmid} is ${guest.seen.status} on ${guestOf.host}; start it with \`qm start ${guestOf.vmid}\` if that is not meant so`
}

function adviceFor(view: HostView): string {
  const { name, sshAlias } = view.host
  switch (view.reason) {
    case 'host_key_unknown':
      return `compare the fingerprint and record it: nightshift trust ${name}`
    case 'host_key_mismatch':
      return `find out why the host key changed before anything else; only if it is meant so: nightshift trust ${name}`
    case 'no_worker':
      return `start the worker of site ${view.host.site}`
    default:
      return `look at it by hand: ssh ${sshAlias} true`
  }
}

function judgeProxmox(pass: Pass, view: HostView, own: ProxmoxView): Verdict[] {
  const verdicts: Verdict[] = []
  const { sshAlias, name } = view.host
  if (own.disbelief !== null) {
    const verdict: Verdict = {
      reason: 'node_name_mismatch',
      severity: 'unknown',
      message: `${name}: ${own.disbelief}. An empty list of guests is not believed`,
      next: `compare ${onHost(sshAlias, 'hostname; ls /etc/pve/nodes')} with \`node:\` of ${name} in estate.yaml; put the host name (or estate.yaml) right`,
    }
    report(pass, view.subject, 'blind', verdict)
    return [verdict]
  }
  const { seen } = own
  const unreadParts = (
    [
      ['backup jobs', seen.jobs],
      ['guests', seen.guests],
      ['storages', seen.storages],
      ['storage configuration', seen.storageConfigs],
      ['tasks', seen.tasks],
    ] as readonly (readonly [string, Reading<unknown>])[]
  ).flatMap(([what, reading]) => (!reading.ok ? [{ what, why: reading.why }] : []))
  const first = unreadParts[0]
  if (first) {
    const verdict: Verdict = {
      reason: 'probe_failed',
      severity: 'unknown',
      message: `${name} did not tell its ${unreadParts.map(({ what }) => what).join(', ')}: ${first.why}`,
      next: `try ${onHost(sshAlias, 'pvesh get /cluster/backup --output-format json')}`,
    }
    report(pass, view.subject, 'blind', verdict)
    verdicts.push(verdict)
  }
  // a read that succeeds and still writes to stderr tells of broken configuration lines (proxmox.md §1.4)
  if (seen.jobs.ok && seen.jobs.remark) {
    const verdict: Verdict = {
      reason: 'odd_answer',
      severity: 'warning',
      message: `${name} complains while reading its backup jobs: ${seen.jobs.remark}`,
      next: `look at /etc/pve/jobs.cfg on ${name}: the named lines are ignored by Proxmox`,
    }
    report(pass, view.subject, 'config', verdict)
    verdicts.push(verdict)
  }
  return verdicts
}

/** Folders that do not answer are one incident of the host, however many targets lie in them. */
function judgeReadings(pass: Pass, view: HostView): Verdict[] {
  const silent = view.seen?.directories.filter(({ reading }) => !reading.ok) ?? []
  const truncated = view.seen?.complete === false
  if (silent.length === 0 && !truncated) return []
  const [first] = silent
  const reason = first && !first.reading.ok && first.reading.code === 'timed_out' ? 'deadline' : 'probe_failed'
  const paths = [...new Set(silent.map(({ basePath }) => basePath))]
  const why = first && !first.reading.ok ? first.reading.why : 'the answer was cut off'
  const verdict: Verdict = {
    reason,
    severity: 'unknown',
    message:
      paths.length > 0
        ? `${view.host.name} answered, but ${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' …' : ''} could not be read: ${why}`
        : `${view.host.name}: ${why}`,
    next: reason === 'deadline' ? `a network share may hang: ${onHost(view.host.sshAlias, `timeout 5 ls ${paths[0] ?? ''}`)}` : `run nightshift doctor`,
  }
  report(pass, view.subject, 'blind', verdict)
  return [verdict]
}

function judgeClock(pass: Pass, view: HostView): Verdict[] {
  const clock = view.seen?.clock
  if (!clock?.ok) return []
  const { skewSeconds, uncertaintySeconds } = clock.value
  // only what is beyond doubt: the measuring error is taken off
  if (Math.abs(skewSeconds) - uncertaintySeconds <= CLOCK_SKEW_LIMIT_SECONDS) return []
  const verdict: Verdict = {
    reason: 'clock_skew',
    severity: 'warning',
    message: `the clock of ${view.host.name} is ${ageInWords(Math.abs(skewSeconds))} ${skewSeconds > 0 ? 'ahead of' : 'behind'} ours; ages are computed by the host's own clock`,
    next: `compare with ${onHost(view.host.sshAlias, 'timedatectl; date -u')} and put time synchronisation right`,
  }
  report(pass, view.subject, 'clock', verdict)
  return [verdict]
}
