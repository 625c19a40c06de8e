/** Does what makes a target's artifacts still exist, on the host that is named as its source? */
import type { Producer, Target } from '../estate.js'
import type { ProducerPlan, ProducerSeen, Reading } from '../observation.js'
import { planProducers, producerKey } from '../probe/plan.js'
import type { Pass } from './pass.js'
import type { ProxmoxView, ProxmoxViews } from './proxmox.js'
import { onHost } from './report.js'

export interface ProducerState {
  /** `gone`: no such cron line, timer or job any more. `refused`: the line is there, but the source may not log in at the destination. */
  readonly state: 'ok' | 'none' | 'gone' | 'refused' | 'unknown'
  readonly producer: Producer | null
  readonly text: string
  readonly next: string | null
}

const unknownState = (producer: Producer, text: string): ProducerState => ({ state: 'unknown', producer, text, next: null })

export function producerStateOf(pass: Pass, target: Target): ProducerState {
  const producer = pass.runbooks.estate.producedBy[target.id]
  if (!producer)
    return {
      state: 'none',
      producer: null,
      text: `nothing says what makes the artifacts of ${target.id}`,
      next: `add ${target.id} to produced_by in estate.yaml`,
    }
  switch (producer.kind) {
    case 'external':
    case 'vzdump':
      return { state: 'ok', producer, text: '', next: null }
    case 'cron':
      return seenOn(pass, producer, producer.host, { id: '', kind: 'cron', match: producer.match }, (seen) =>
        cronState(pass, producer, producer.host, producer.match, seen),
      )
    case 'timer':
      return seenOn(pass, producer, producer.host, { id: '', kind: 'timer', unit: producer.unit }, (seen) =>
        seen.lines > 0
          ? { state: 'ok', producer, text: '', next: null }
          : {
              state: 'gone',
              producer,
              text: `timer ${producer.unit} on ${producer.host} is ${seen.unitState ?? 'not there'}`,
              next: onHost(aliasOf(pass, producer.host), `systemctl status ${producer.unit}`),
            },
      )
    case 'transfer':
      return seenOn(pass, producer, producer.from, { id: '', kind: 'transfer', match: producer.match, destination: producer.destination }, (seen) =>
        transferState(pass, producer, seen),
      )
  }
}

const aliasOf = (pass: Pass, host: string): string => pass.hosts.get(host)?.host.sshAlias ?? host

function seenOn(pass: Pass, producer: Producer, hostName: string, wanted: ProducerPlan, judge: (seen: ProducerSeen) => ProducerState): ProducerState {
  const view = pass.hosts.get(hostName)
  if (!view) return unknownState(producer, `its producer is on ${hostName}, which estate.yaml does not know`)
  if (!view.up) return unknownState(producer, `its producer on ${hostName} could not be looked at`)
  const plan = planProducers(pass.runbooks, hostName).find(({ plan: known }) => producerKey(known) === producerKey(wanted))?.plan
  const reading: Reading<ProducerSeen> | undefined = view.seen?.producers.find(({ id }) => id === plan?.id)?.reading
  if (!reading?.ok) return unknownState(producer, `its producer on ${hostName} could not be looked at: ${reading ? reading.why : 'it was not asked about'}`)
  return judge(reading.value)
}

function cronState(pass: Pass, producer: Producer, host: string, match: string, seen: ProducerSeen): ProducerState {
  if (seen.lines > 0) return { state: 'ok', producer, text: '', next: null }
  return {
    state: 'gone',
    producer,
    text: `no cron line on ${host} contains "${match}" any more`,
    next: `find out where the dump job went; if it moved, say so in produced_by (estate.yaml), else restore the line: ${onHost(aliasOf(pass, host), `grep -rn ${match} /etc/cron* /var/spool/cron`)}`,
  }
}

function transferState(pass: Pass, producer: Extract<Producer, { kind: 'transfer' }>, seen: ProducerSeen): ProducerState {
  const refused = seen.ssh && !seen.ssh.ok ? sshText(producer, seen.ssh) : null
  const test = onHost(aliasOf(pass, producer.from), `ssh -o BatchMode=yes ${producer.destination} true`)
  if (seen.lines === 0) {
    const text = `no transfer job on ${producer.from} names this path (no cron line contains "${producer.match}")${refused ? `, and ${refused}` : ''}`
    return { state: 'gone', producer, text, next: `set the transfer up on ${producer.from}${refused ? `, and let its key in: ${test}` : ''}` }
  }
  if (refused) return { state: 'refused', producer, text: refused, next: `let the key of ${producer.from} in at ${producer.to}, then try ${test}` }
  return { state: 'ok', producer, text: '', next: null }
}

function sshText(producer: Extract<Producer, { kind: 'transfer' }>, ssh: { exitCode: number; said: string }): string {
  const way = `from ${producer.from} to ${producer.to}`
  if (/Permission denied/i.test(ssh.said)) return `the key ${way} is refused (${ssh.said})`
  if (/Host key verification failed/i.test(ssh.said)) return `${producer.from} does not know the host key of ${producer.to}`
  if (ssh.exitCode === 127) return `${producer.from} has no ssh program`
  return `ssh ${way} does not work (${ssh.said || `exit code ${ssh.exitCode}`})`
}

/** The one guest whose vzdump archives a target is about, where it is about one. */
export function guestOfTarget(pass: Pass, target: Target): { host: string; vmid: number; job: string | null } | null {
  const producer = pass.runbooks.estate.producedBy[target.id]
  if (producer && producer.kind !== 'vzdump') return null
  const named = /^vzdump-(?:qemu|lxc|\*|\?+)-(\d+)-/.exec(target.glob)?.[1]
  const vmid = producer?.vmid ?? (named === undefined ? undefined : Number(named))
  const host = producer?.host ?? target.host
  if (vmid === undefined || pass.hosts.get(host)?.host.kind !== 'proxmox') return null
  return { host, vmid, job: producer?.job ?? null }
}

export const proxmoxOfTarget = (proxmox: ProxmoxViews, guest: { host: string } | null): ProxmoxView | null => (guest ? (proxmox.get(guest.host) ?? null) : null)
