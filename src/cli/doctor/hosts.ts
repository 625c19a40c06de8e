/**
 * The doctor on the hosts: one reading as the monitor makes it, judged by the monitor's own rules (reachable, trusted, clock, storages), and the programs that
 * a reading needs. Changes nothing anywhere.
 */
import pLimit from 'p-limit'
import { observeHost } from '../../activities/host-probe.js'
import type { Host, RunbookSet } from '../../domain/estate.js'
import { judgePass } from '../../domain/judge/index.js'
import { planHostProbe } from '../../domain/probe/plan.js'
import { makeRedact, redactDeep } from '../../domain/redact.js'
import type { Severity } from '../../domain/status.js'
import { knownSecrets } from '../../runbooks/index.js'
import { SshPool } from '../../ssh/index.js'
import { type Check, type CheckResult, failedWith } from './check.js'

/** What the reading script calls (`src/domain/probe/script*.ts`); all of it is in BusyBox too. */
const TOOLS = ['awk', 'cat', 'cut', 'date', 'df', 'grep', 'head', 'hostname', 'ls', 'mktemp', 'sed', 'sort', 'stat', 'tail', 'timeout', 'xargs']
const PROXMOX_TOOLS = ['pvesh', 'pvesm', 'qm', 'vzdump']
const TOOLS_DEADLINE_MS = 20_000

const RESULT: Readonly<Record<Severity, CheckResult>> = { ok: 'ok', warning: 'warn', critical: 'fail', unknown: 'unknown' }

export async function checkHosts(set: RunbookSet, now: () => Date): Promise<Check[]> {
  const { estate } = set
  const redact = makeRedact(knownSecrets(set))
  const pool = new SshPool({ ...estate.ssh, redact })
  const limit = pLimit(estate.monitor.maxHostsAtOnce)
  try {
    const readings = await Promise.all(
      estate.hosts.map((host) =>
        limit(async () => {
          const seen = redactDeep(await observeHost(pool, planHostProbe(set, host.name), { now }), redact)
          return { seen, tools: seen.outcome.ok ? await checkTools(pool, set, host) : [] }
        }),
      ),
    )
    const observations = readings.map(({ seen }) => seen)
    const { status } = judgePass({
      runbooks: set,
      observations,
      memory: undefined,
      now: now().toISOString(),
      pass: { passId: 'doctor', workflowId: 'doctor', runId: 'doctor' },
    })
    const judged = redactDeep(status, redact)
    return [
      ...judged.hosts.map(({ host, severity, message, next, clockSkewSeconds }) => {
        const clock = clockSkewSeconds === null ? '' : `, clock ${Math.abs(clockSkewSeconds).toFixed(1)} s ${clockSkewSeconds < 0 ? 'behind' : 'ahead'}`
        return {
          area: `host ${host}`,
          name: 'reachable, trusted, clock',
          result: RESULT[severity],
          message: `${message}${clock}`,
          next: severity === 'ok' ? null : next,
        }
      }),
      ...readings.flatMap(({ tools }) => tools),
      ...judged.storages.map(({ host, id, severity, message, next }) => ({
        area: `host ${host}`,
        name: `storage ${id}`,
        result: RESULT[severity],
        message,
        next: severity === 'ok' ? null : next,
      })),
    ]
  } finally {
    await pool.close()
  }
}

/** Programs that a reading of this host needs and that are not on its PATH. */
async function checkTools(pool: SshPool, set: RunbookSet, host: Host): Promise<Check[]> {
  const kinds = planHostProbe(set, host.name).producers.map((producer) => producer.kind)
  const wanted = [
    ...TOOLS,
    ...(host.kind === 'proxmox' ? PROXMOX_TOOLS : []),
    ...(kinds.includes('transfer') ? ['ssh'] : []),
    ...(kinds.includes('timer') ? ['systemctl'] : []),
  ]
  const area = `host ${host.name}`
  try {
    const script = 'for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done'
    const { stdoutText } = await pool.run(host.sshAlias, { argv: ['sh', '-c', script, 'sh', ...wanted], sudo: host.sudo, deadlineMs: TOOLS_DEADLINE_MS })
    const missing = stdoutText.split('\n').filter((line) => line !== '')
    if (missing.length === 0) return [{ area, name: 'tools', result: 'ok', message: `${wanted.length} programs are there`, next: null }]
    return [
      {
        area,
        name: 'tools',
        result: 'fail',
        message: `missing: ${missing.join(', ')}`,
        next: `install them on ${host.name} (Debian: apt-get install coreutils mawk findutils; Proxmox: pve-manager, qemu-server)`,
      },
    ]
  } catch (error) {
    return [failedWith(area, 'tools', error, `look at it by hand: ssh ${host.sshAlias} true`)]
  }
}
