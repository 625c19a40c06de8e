/** Cases about reaching the hosts and about what a host says of itself. */
import { blackhole, cutLink, freeze, killDaemon, refuseLogin, setClock, swapHostKey } from '../../faults.js'
import { editConfig, rowOf } from '../config-edits.js'
import { vanishMidOutput } from '../faults-undo.js'
import type { Expectation, HurtCase } from './types.js'

const HOUR = 3600
/** Every target on the NAS that is switched on in the example estate. */
const ENABLED_ON_NAS = [
  'vm-offsite-critical',
  'app-infisical',
  'app-gitea',
  'app-vaultwarden',
  'app-firefly',
  'app-ghostfolio',
  'app-paperless-db',
  'app-paperless-export',
]

/** A host that cannot be looked at: it says why, and its targets are unknown because of it. */
function blind(host: string, reason: string | readonly string[]): Expectation[] {
  return [
    { kind: 'host', ids: [host], state: 'UNKNOWN', reason, severity: 'unknown' },
    { kind: 'target', ids: 'all', host, state: 'UNKNOWN', reason, inhibited: true, optional: true },
    ...(['guest', 'job', 'storage'] as const).map((kind): Expectation => ({ kind, ids: 'all', host, state: 'UNKNOWN', optional: true })),
  ]
}

export const HOST_CASES: readonly HurtCase[] = [
  {
    name: 'I6',
    title: 'After a change of the router the NAS cannot be reached',
    what: 'the link of the NAS is cut',
    async hurt(lab, surgery) {
      await surgery.fault('link', 'nas', () => cutLink(lab.host('nas')))
    },
    expect: [
      { kind: 'host', ids: ['nas'], state: 'UNKNOWN', reason: 'connect_timeout', severity: 'unknown', messageIncludes: ['nas'] },
      { kind: 'target', ids: ENABLED_ON_NAS, state: 'UNKNOWN', reason: 'connect_timeout', inhibited: true },
    ],
    newFindings: 1,
    verdict: 'unknown',
  },
  {
    name: 'I8',
    title: 'The node is not the one that estate.yaml declares',
    what: 'estate.yaml says that the node of proxmox-home is called proxmox-home; it is called pve',
    async hurt(_lab, surgery) {
      surgery.config('estate.yaml', (folder) =>
        editConfig(folder, 'estate.yaml', (document) => {
          rowOf(document, 'hosts', 'name', 'proxmox-home').set('node', 'proxmox-home')
        }),
      )
    },
    expect: [
      { kind: 'host', ids: ['proxmox-home'], state: 'UNKNOWN', messageIncludes: ['pve', 'proxmox-home'] },
      { kind: 'guest', ids: 'all', host: 'proxmox-home', state: 'UNKNOWN', optional: true },
      { kind: 'job', ids: 'all', host: 'proxmox-home', state: 'UNKNOWN', optional: true },
      { kind: 'storage', ids: 'all', host: 'proxmox-home', state: 'UNKNOWN', optional: true },
      { kind: 'target', ids: 'all', host: 'proxmox-home', state: 'UNKNOWN', optional: true },
    ],
    verdict: 'unknown',
  },
  {
    name: 'I12',
    title: 'Nothing at all could be looked at',
    what: 'the links of all hosts are cut',
    async hurt(lab, surgery) {
      for (const host of lab.hosts.values()) await surgery.fault('link', host.name, () => cutLink(host))
    },
    expect: [
      { kind: 'host', ids: 'all', state: 'UNKNOWN', reason: 'connect_timeout' },
      { kind: 'target', ids: ENABLED_ON_NAS, state: 'UNKNOWN', reason: 'connect_timeout', inhibited: true },
      { kind: 'target', ids: 'all', state: 'UNKNOWN', reason: 'connect_timeout', optional: true },
      { kind: 'finding', ids: ['*/monitor/*'], reason: 'nothing_seen', severity: 'unknown', messageIncludes: ['0 of 28'] },
      // That a whole site is dark may be said on top.
      { kind: 'finding', ids: ['*/monitor/*'], reason: 'connect_timeout', messageIncludes: ['none of the hosts'], optional: true },
      ...(['guest', 'job', 'storage'] as const).map((kind): Expectation => ({ kind, ids: 'all', state: 'UNKNOWN', optional: true })),
    ],
    verdict: 'unknown',
  },
  {
    name: 'I19',
    title: 'A host shows another host key',
    what: 'automation-stack has new host keys that nobody has recorded',
    async hurt(lab, surgery) {
      await surgery.fault('host-key', 'automation-stack', () => swapHostKey(lab.host('automation-stack')))
    },
    expect: [
      { kind: 'host', ids: ['automation-stack'], state: 'UNKNOWN', reason: 'host_key_mismatch', severity: 'unknown', messageIncludes: ['host key'] },
      { kind: 'target', ids: ['app-n8n-workflows'], state: 'UNKNOWN', reason: 'host_key_mismatch', inhibited: true },
    ],
    verdict: 'unknown',
  },
  {
    name: 'host-down',
    title: 'A machine is off',
    what: 'download-stack is powered off',
    async hurt(lab, surgery) {
      await surgery.fault('stopped', 'download-stack', () => lab.host('download-stack').stop())
    },
    expect: blind('download-stack', ['connect_timeout', 'connect_refused']),
    verdict: 'unknown',
  },
  {
    name: 'sshd-down',
    title: 'Nobody listens',
    what: 'sshd on finance-stack is stopped',
    async hurt(lab, surgery) {
      await surgery.fault('daemon', 'finance-stack', () => killDaemon(lab.host('finance-stack'), 'ssh'), 'ssh')
    },
    expect: blind('finance-stack', 'connect_refused'),
    verdict: 'unknown',
  },
  {
    name: 'blackhole',
    title: 'Packets vanish',
    what: 'everything that is sent to streaming-stack vanishes',
    async hurt(lab, surgery) {
      await surgery.fault('link', 'streaming-stack', () => blackhole(lab.host('streaming-stack')))
    },
    expect: blind('streaming-stack', 'connect_timeout'),
    verdict: 'unknown',
  },
  {
    name: 'blackhole-mid-output',
    title: 'The line goes dead in the middle of an answer',
    what: 'as soon as proxmox-home works for a pass, nothing that it sends arrives any more',
    async hurt(lab, surgery) {
      await surgery.fault('mid-output', 'proxmox-home', () => vanishMidOutput(lab.host('proxmox-home')))
    },
    expect: blind('proxmox-home', ['connection_lost', 'deadline', 'connect_timeout']),
    verdict: 'unknown',
  },
  {
    name: 'frozen',
    title: 'The machine takes connections and never answers',
    what: 'every process on communications-stack stands still',
    async hurt(lab, surgery) {
      await surgery.fault('frozen', 'communications-stack', () => freeze(lab.host('communications-stack')))
    },
    expect: blind('communications-stack', ['connect_timeout', 'deadline', 'connection_lost']),
    verdict: 'unknown',
  },
  {
    name: 'host-key-swapped',
    title: 'A host shows another host key (Proxmox)',
    what: 'proxmox-home has new host keys that nobody has recorded',
    async hurt(lab, surgery) {
      await surgery.fault('host-key', 'proxmox-home', () => swapHostKey(lab.host('proxmox-home')))
    },
    expect: blind('proxmox-home', 'host_key_mismatch'),
    verdict: 'unknown',
  },
  {
    name: 'auth-refused',
    title: 'A host does not take our key',
    what: 'infra-core refuses the key of nightshift',
    async hurt(lab, surgery) {
      await surgery.fault('login', 'infra-core', () => refuseLogin(lab.host('infra-core')))
    },
    expect: blind('infra-core', 'auth_denied'),
    verdict: 'unknown',
  },
  {
    name: 'clock-ahead-1h',
    title: 'The clock of a host is an hour ahead',
    what: 'the clock of dev-tools is set one hour ahead',
    async hurt(lab, surgery) {
      await surgery.fault('clock', 'dev-tools', () => setClock(lab.host('dev-tools'), HOUR))
    },
    expect: [
      { kind: 'host', ids: ['dev-tools'], messageIncludes: ['clock'], optional: true },
      { kind: 'finding', ids: ['*/host/dev-tools'], messageIncludes: ['clock'] },
    ],
    verdict: 'warning',
  },
  {
    name: 'big-output',
    title: 'A login shell that never stops talking',
    what: 'the start-up file of the SSH user on streaming-stack prints ten megabytes on every login',
    async hurt(lab, surgery) {
      const { home, name } = lab.host('streaming-stack').sshUser
      surgery.write(
        'streaming-stack',
        { path: `${home}/.bashrc`, content: "head -c 10485760 /dev/zero | tr '\\0' 'x'\n", owner: name },
        await surgery.now('streaming-stack'),
      )
    },
    expect: blind('streaming-stack', 'output_too_large').map((one) => (one.kind === 'host' ? { ...one, optional: true } : one)),
    verdict: 'ok',
  },
  {
    name: 'stderr-garbage',
    title: 'A login that writes garbage on standard error',
    what: 'the start-up file of the SSH user on infra-core writes half a megabyte of random bytes to standard error',
    async hurt(lab, surgery) {
      const { home, name } = lab.host('infra-core').sshUser
      surgery.write('infra-core', { path: `${home}/.bashrc`, content: 'head -c 524288 /dev/urandom >&2\n', owner: name }, await surgery.now('infra-core'))
    },
    expect: [],
    verdict: 'ok',
  },
]
