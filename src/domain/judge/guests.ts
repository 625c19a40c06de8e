/** Judges every existing guest, whatever its inventory flag: decided × configured × produced. */
import type { Classification, GuestDecision } from '../estate.js'
import type { GuestStatus } from '../status.js'
import { examine, isAgentSilentLog } from './artifacts.js'
import type { Freshness } from './freshness.js'
import { judgeFreshness } from './freshness.js'
import type { HostView, Pass } from './pass.js'
import { severityOf, subjectOf } from './pass.js'
import type { GuestView, ProxmoxView, ProxmoxViews } from './proxmox.js'
import { coveringJobs, uncoveredBecause } from './proxmox.js'
import type { Verdict } from './report.js'
import { enrollCommand, onHost, report } from './report.js'
import { isMounted, storageOfPath } from './storages.js'
import type { JudgedTarget } from './targets.js'
import { conditionOf, firstDueOf } from './targets.js'
import { waiverState } from './waivers.js'
import { timeInWords } from './words.js'

/** Limit of a guest that no target names, by its classification in estate.yaml (`important` unless told). */
const LIMIT_SECONDS: Readonly<Record<Classification, number>> = { critical: 26 * 3600, important: 48 * 3600, rebuildable: 168 * 3600 }

export const guestSubject = (view: HostView, vmid: number): string => subjectOf(view.host.site, 'guest', `${view.host.name}/${vmid}`)

export function judgeGuests(pass: Pass, proxmox: ProxmoxViews, targets: readonly JudgedTarget[]): GuestStatus[] {
  const byGuest = new Map<string, JudgedTarget[]>()
  for (const judged of targets) {
    if (!judged.guest || judged.target.decommissioned) continue
    const key = `${judged.guest.host}/${judged.guest.vmid}`
    byGuest.set(key, [...(byGuest.get(key) ?? []), judged])
  }
  const rows: GuestStatus[] = []
  for (const view of pass.hosts.values()) {
    if (view.host.kind !== 'proxmox') continue
    const own = proxmox.get(view.host.name)
    if (own?.guests) {
      for (const guest of own.guests.values()) rows.push(judgeGuest(pass, own, guest, byGuest.get(`${view.host.name}/${guest.seen.vmid}`) ?? []))
    } else rows.push(...unseenGuests(pass, view, own))
  }
  return rows
}

/** Guests of a host whose lists cannot be had: known from its configuration files or from earlier passes, and unknown. */
function unseenGuests(pass: Pass, view: HostView, own: ProxmoxView | undefined): GuestStatus[] {
  const known = new Map<number, { name: string; type: 'qemu' | 'lxc' }>()
  for (const [key, guest] of Object.entries(pass.memory.guests)) {
    if (!key.startsWith(`${view.host.name}/`)) continue
    known.set(Number(key.slice(view.host.name.length + 1)), guest)
    pass.draft.guests[key] = guest
  }
  if (own?.seen.configs.ok)
    for (const config of own.seen.configs.value) known.set(config.vmid, { name: config.name ?? `guest ${config.vmid}`, type: config.type })
  const why = own ? (own.disbelief ?? (own.seen.guests.ok ? 'the guests are not known' : own.seen.guests.why)) : `${view.host.name} could not be looked at`
  return [...known]
    .sort(([a], [b]) => a - b)
    .map(([vmid, { name, type }]) => ({
      site: view.host.site,
      host: view.host.name,
      node: own?.node ?? view.host.node ?? view.host.name,
      vmid,
      name,
      type,
      state: 'UNKNOWN' as const,
      reason: own ? (own.disbelief ? 'node_name_mismatch' : 'probe_failed') : view.reason,
      severity: 'unknown' as const,
      message: `not looked at: ${why}`,
      next: null,
      jobs: [],
    }))
}

type GuestVerdict = Verdict & { readonly state: GuestStatus['state'] }

function judgeGuest(pass: Pass, own: ProxmoxView, guest: GuestView, targets: readonly JudgedTarget[]): GuestStatus {
  const { vmid, name, type } = guest.seen
  const key = `${own.view.host.name}/${vmid}`
  rememberGuest(pass, key, guest)
  const verdict =
    coverageVerdict(pass, own, guest, targets) ??
    withRemarks(pass, own, guest, enrollmentVerdict(pass, own, guest, targets) ?? freshnessVerdict(pass, own, guest, targets))
  const jobs = (own.jobs ?? []).filter((job) => job.seen.enabled && job.covers.has(vmid)).map((job) => job.seen.id)
  return { site: own.view.host.site, host: own.view.host.name, node: own.node, vmid, name, type, ...verdict, jobs }
}

function rememberGuest(pass: Pass, key: string, guest: GuestView): void {
  const known = pass.memory.guests[key]
  const id = guest.config?.smbiosUuid ?? known?.incarnation?.id
  const changed = known?.incarnation !== undefined && id !== known.incarnation.id
  pass.draft.guests[key] = {
    ...(changed ? {} : known),
    ...pass.draft.guests[key],
    name: guest.seen.name,
    type: guest.seen.type,
    incarnation: id === undefined ? undefined : { id, since: changed ? pass.nowSeconds : (known?.incarnation?.since ?? 0) },
  }
}

/** Decided × configured: a verdict when the guest is not (to be) backed up, null when a job covers it. */
function coverageVerdict(pass: Pass, own: ProxmoxView, guest: GuestView, targets: readonly JudgedTarget[]): GuestVerdict | null {
  const { vmid, name } = guest.seen
  const host = own.view.host.name
  const decision: GuestDecision | undefined = pass.runbooks.estate.guests.find((entry) => entry.host === host && entry.vmid === vmid)
  if (decision?.decommissioned)
    return {
      state: 'DISABLED',
      reason: 'decommissioned',
      severity: 'ok',
      message: `to go since ${decision.decommissioned.date}: ${decision.decommissioned.reason}`,
      next: null,
    }
  if (own.jobs === null)
    return { state: 'UNKNOWN', reason: 'probe_failed', severity: 'unknown', message: 'which jobs cover it is unknown: the jobs could not be read', next: null }
  if (coveringJobs(own, vmid).length > 0) return null
  const waiver = waiverState(pass, decision?.waiver)
  if (waiver.valid)
    return {
      state: 'DISABLED',
      reason: 'waived',
      severity: 'ok',
      message: `in no job, waived until ${decision?.waiver?.until}: ${decision?.waiver?.reason}`,
      next: null,
    }
  const rebuildable = (decision?.classification ?? targets[0]?.target.classification) === 'rebuildable'
  const ended = waiver.expired ? ` (its waiver ended on ${decision?.waiver?.until})` : ''
  const kind = guest.seen.template ? 'template' : guest.seen.type === 'lxc' ? 'CT' : 'VM'
  const verdict: GuestVerdict = {
    state: 'MISSING',
    reason: 'not_in_any_job',
    severity: guest.seen.template ? 'warning' : severityOf('MISSING', rebuildable),
    message: `${kind} ${vmid} (${name}) on ${host} is in no enabled job: ${uncoveredBecause(own, vmid)}${ended}`,
    next: `put it into a job (${onHost(own.view.host.sshAlias, 'pvesh get /cluster/backup')}), or record a waiver under guests: in estate.yaml`,
  }
  report(pass, guestSubject(own.view, vmid), 'coverage', verdict)
  return verdict
}

/**
 * A run waits for its first scheduled artifact: then archives made by hand say nothing, and the run's own word counts. Null where none waits, or where an
 * enabled target says already that its backups run and can be verified.
 */
function enrollmentVerdict(pass: Pass, own: ProxmoxView, guest: GuestView, targets: readonly JudgedTarget[]): GuestVerdict | null {
  const { vmid, name } = guest.seen
  const { host, clockSeconds, zone } = own.view
  const open = pass.enrollments.find((each) => each.host === host.name && each.vmid === vmid)
  if (open === undefined || targets.some(({ target }) => target.enabled)) return null
  const late = open.expectedBySeconds !== null && clockSeconds > open.expectedBySeconds ? open.expectedBySeconds : null
  const since = open.overdueSinceSeconds ?? late
  const state = since === null ? 'LATE' : 'MISSING'
  const decision = pass.runbooks.estate.guests.find((entry) => entry.host === host.name && entry.vmid === vmid)
  const classification = decision?.classification ?? targets[0]?.target.classification
  const due = open.expectedBySeconds === null ? 'no run of it is in sight' : `due by ${timeInWords(open.expectedBySeconds, zone)}`
  const verdict = {
    reason: since === null ? ('awaiting_first_artifact' as const) : ('overdue' as const),
    severity: severityOf(state, classification === 'rebuildable'),
    message:
      since === null
        ? `waits for its first scheduled backup from job ${open.job}, ${due}; ${open.message}`
        : `its first scheduled backup from job ${open.job} is overdue since ${timeInWords(since, zone)}; ${open.message}; ${open.workflowId} goes on waiting`,
    next: since === null ? null : `nightshift plan ${open.workflowId}`,
  }
  report(pass, guestSubject(own.view, vmid), 'freshness', { ...verdict, message: `guest ${vmid} (${name}): ${verdict.message}` })
  return { state, ...verdict }
}

/** Produced: the target's own verdict where there is one (one subject, one finding), else the guest's archives. */
function freshnessVerdict(pass: Pass, own: ProxmoxView, guest: GuestView, targets: readonly JudgedTarget[]): GuestVerdict {
  const primary =
    targets.find(({ target, row }) => target.enabled && row.state !== 'DISABLED' && target.host === own.view.host.name) ??
    targets.find(({ target }) => target.enabled)
  if (primary) {
    const { state, reason, severity, message, next } = primary.row
    return { state, reason, severity, message, next }
  }
  const decision = pass.runbooks.estate.guests.find((entry) => entry.host === own.view.host.name && entry.vmid === guest.seen.vmid)
  const classification = decision?.classification ?? targets[0]?.target.classification ?? 'important'
  const limitSeconds = targets[0]?.target.limitSeconds ?? LIMIT_SECONDS[classification]
  const freshness = archivesOf(pass, own, guest, limitSeconds)
  if (freshness === null)
    return {
      state: 'UNKNOWN',
      reason: 'probe_failed',
      severity: 'unknown',
      message: 'its archives could not be looked at: no dump folder of this host could be read',
      next: null,
    }
  const verdict = {
    reason: freshness.reason,
    severity: severityOf(freshness.state, classification === 'rebuildable'),
    message: freshness.message,
    next: freshness.next ?? (freshness.reason === 'awaiting_first_artifact' ? enrollCommand(own.view.host.name, guest.seen.vmid) : null),
  }
  if (!freshness.told)
    report(pass, guestSubject(own.view, guest.seen.vmid), conditionOf(freshness.state, freshness.reason), {
      ...verdict,
      message: `guest ${guest.seen.vmid} (${guest.seen.name}): ${verdict.message}`,
    })
  return { state: freshness.state, ...verdict }
}

function archivesOf(pass: Pass, own: ProxmoxView, guest: GuestView, limitSeconds: number): Freshness | null {
  const { vmid, type } = guest.seen
  const glob = `vzdump-${type}-${vmid}-*`
  const key = `${own.view.host.name}/${vmid}`
  const known = pass.memory.guests[key]
  let best: Freshness | null = null
  for (const { basePath, vzdump, reading } of own.view.seen?.directories ?? []) {
    if (!vzdump || !reading.ok || reading.value.state !== 'present') continue
    const storage = storageOfPath(own, basePath)
    if (storage && !isMounted(own, storage)) continue
    const set = examine(reading.value, {
      basePath,
      glob,
      globIndex: -1,
      hostNowSeconds: own.view.clockSeconds,
      zone: own.view.zone,
      ownDumpFolder: true,
      running: own.isRunning,
      belongs: (_, startedSeconds) => guest.bornSeconds === null || startedSeconds >= guest.bornSeconds,
      remembered: {},
    })
    const freshness = judgeFreshness({
      pass,
      view: own.view,
      set,
      limitSeconds,
      basePath,
      glob,
      guest: { own, vmid },
      seenBefore: known?.sawArtifact && set.ofEarlierGuest === 0 ? { path: `an archive of ${vmid}`, mtime: own.view.clockSeconds } : null,
      firstDueSeconds: firstDueOf(pass, own, vmid, set),
    })
    if (best === null || isNewer(freshness, best)) best = freshness
  }
  const draft = pass.draft.guests[key]
  if (best?.good && draft) pass.draft.guests[key] = { ...draft, sawArtifact: true, firstDueAt: undefined }
  return best
}

/** Of several dump folders the one with the newest archive speaks. */
const isNewer = (a: Freshness, b: Freshness): boolean => (a.good?.mtimeSeconds ?? (a.artifact ? 0 : -1)) > (b.good?.mtimeSeconds ?? (b.artifact ? 0 : -1))

/** Things beside freshness that make a backup worth less, or the next one fail. They never hide a worse verdict. */
function withRemarks(pass: Pass, own: ProxmoxView, guest: GuestView, verdict: GuestVerdict): GuestVerdict {
  const remark = agentRemark(own, guest) ?? lockRemark(own, guest, verdict)
  if (!remark) return verdict
  report(pass, guestSubject(own.view, guest.seen.vmid), remark.reason === 'agent_silent' ? 'integrity' : 'config', remark)
  return verdict.severity === 'ok' ? { ...remark, state: verdict.state } : verdict
}

/** I7: the agent is configured and silent, by the newest backup's log or by asking it now. */
function agentRemark(own: ProxmoxView, guest: GuestView): Verdict | null {
  const { vmid, name } = guest.seen
  if (guest.seen.type !== 'qemu' || !guest.config?.agent || guest.seen.status !== 'running') return null
  const asked = own.seen.agents.find((agent) => agent.vmid === vmid)
  const logged = newestLogTellsSilence(own, vmid)
  if (asked ? asked.answers : !logged) return null
  const said = asked && !asked.answers && asked.said ? ` (${asked.said})` : ''
  const backup = logged
    ? 'its last backup was made without freezing its file systems and is not application-consistent'
    : 'its next backup cannot freeze its file systems and will not be application-consistent'
  return {
    reason: 'agent_silent',
    severity: 'warning',
    message: `the guest agent of ${vmid} (${name}) on ${own.view.host.name} does not answer${said}: ${backup}`,
    next: `look inside the guest (console): systemctl status qemu-guest-agent; then ${onHost(own.view.host.sshAlias, `qm agent ${vmid} ping`)}`,
  }
}

function newestLogTellsSilence(own: ProxmoxView, vmid: number): boolean {
  const logs = (own.view.seen?.directories ?? [])
    .flatMap(({ reading }) => (reading.ok ? reading.value.logs : []))
    .filter(({ name }) => name.startsWith(`vzdump-qemu-${vmid}-`))
  const newest = logs.sort((a, b) => (a.name < b.name ? 1 : -1))[0]
  return newest !== undefined && isAgentSilentLog(newest.lines)
}

/** `lock: backup` without a backup at work is left over from a crash; the next run would fail with "VM is locked (backup)". */
function lockRemark(own: ProxmoxView, guest: GuestView, verdict: GuestVerdict): Verdict | null {
  const { vmid, name, type, lock } = guest.seen
  const held = lock ?? guest.config?.lock ?? null
  if (held !== 'backup' || own.isRunning(vmid) !== false || verdict.state === 'PARTIAL' || verdict.state === 'FAILED') return null
  return {
    reason: 'stale_lock',
    severity: 'warning',
    message: `guest ${vmid} (${name}) on ${own.view.host.name} is locked for a backup that does not run any more; its next backup will fail`,
    next: onHost(own.view.host.sshAlias, `${type === 'lxc' ? 'pct' : 'qm'} unlock ${vmid}`),
  }
}
