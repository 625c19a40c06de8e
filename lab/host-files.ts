/** What every lab host has on its disk before its first boot: names, users, keys, trust, its place in the estate. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../src/temporal/package-root.js'
import { type HostSpec, hasBusyBoxOnly, PVE_FOLDER, PVE_PROGRAMS, TIME_ZONE } from './catalog.js'
import { BUSYBOX_FOLDER } from './tree-finish.js'
import type { UpperFiles } from './upper-files.js'

/** `lab/pve/` of this package: the emulated Proxmox programs. They are bound into Proxmox hosts, read-only; the machine never gets them on a PATH. */
export function pveSource(): string {
  return join(packageRoot(), 'lab', 'pve')
}

/** @param neighbours the lines of /etc/hosts: address and names of every lab host */
export function writeHostFiles(files: UpperFiles, spec: HostSpec, labName: string, neighbours: string): void {
  files.write('/etc/hostname', `${spec.hostname}\n`)
  files.write('/etc/hosts', `# nightshift lab "${labName}": not a real host\n127.0.0.1 localhost\n${neighbours}`)
  files.write('/etc/motd', `\n*** nightshift LAB "${labName}": this is the lab's ${spec.name}, not a real host. ***\n\n`)
  files.write('/etc/nightshift-lab/host.json', `${JSON.stringify({ lab: labName, host: spec.name }, null, 2)}\n`)
  files.link('/etc/localtime', `/usr/share/zoneinfo/${TIME_ZONE}`)
  files.link('/etc/systemd/system/multi-user.target.wants/ssh.service', '/lib/systemd/system/ssh.service')
  addUser(files, spec)
  writeSshServer(files, spec)
  if (hasBusyBoxOnly(spec.kind)) files.link('/etc/systemd/system/cron.service', '/dev/null')
  if (spec.kind === 'proxmox') writeProxmoxFiles(files)
}

/** An account without a password; `*` and not `!`, which sshd takes for a locked account. */
function addUser(files: UpperFiles, { user, kind }: HostSpec): void {
  if (user.uid === 0) return
  const shell = hasBusyBoxOnly(kind) ? '/bin/sh' : '/bin/bash'
  files.write('/etc/passwd', `${files.read('/etc/passwd')}${user.name}:x:${user.uid}:${user.gid}:lab user:${user.home}:${shell}\n`)
  files.write('/etc/shadow', `${files.read('/etc/shadow')}${user.name}:*:19000:0:99999:7:::\n`, { mode: 0o640, gid: 42 })
  if (user.gid >= 1000) files.write('/etc/group', `${files.read('/etc/group')}${user.name}:x:${user.gid}:\n`)
  files.folder(user.home, { mode: 0o755, uid: user.uid, gid: user.gid })
  if (user.sudo) files.write('/etc/sudoers.d/lab', `${user.name} ALL=(ALL:ALL) NOPASSWD: ALL\n`, { mode: 0o440 })
  if (kind === 'nas') files.folder('/volume1', { mode: 0o755, uid: user.uid, gid: user.gid })
}

function writeSshServer(files: UpperFiles, spec: HostSpec): void {
  files.write(
    '/etc/ssh/sshd_config.d/lab.conf',
    [
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      // Keys alone let anybody in here; without PAM's session and with the cheaper of the usual key exchanges a connection costs the two cores a third less.
      'UsePAM no',
      'KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org',
      // The lab's clock (libfaketime) must not move file times or timeouts in sessions either: see tree-finish.ts.
      'SetEnv NO_FAKE_STAT=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1',
      '',
    ].join('\n'),
  )
  // No restart by itself, so that a killed sshd stays killed. The lab's clock is read once per sshd process: its sandboxed half may not open files later.
  const unit = ['[Service]', 'Restart=no', 'Environment=FAKETIME_CACHE_DURATION=1000000000']
  if (hasBusyBoxOnly(spec.kind)) unit.push(`BindReadOnlyPaths=${BUSYBOX_FOLDER}/bin:/usr/bin ${BUSYBOX_FOLDER}/sbin:/usr/sbin`)
  files.write('/etc/systemd/system/ssh.service.d/lab.conf', `${unit.join('\n')}\n`)
}

function writeProxmoxFiles(files: UpperFiles): void {
  files.folder(PVE_FOLDER)
  for (const [program, path] of Object.entries(PVE_PROGRAMS)) {
    if (existsSync(join(pveSource(), 'bin', program))) files.link(path, `${PVE_FOLDER}/bin/${program}`)
  }
  files.write('/etc/nightshift-lab/pve.json', `${JSON.stringify({ latency_ms: 0, now: null })}\n`)
  if (!readdirSync(join(pveSource(), 'bin')).includes('pvescheduler')) return
  // The name and the place of the real unit (pve-manager services/pvescheduler.service); the daemon does what pvestatd does about ended tasks as well.
  files.write(
    '/etc/systemd/system/pvescheduler.service',
    [
      '[Unit]',
      'Description=Proxmox VE scheduler (nightshift lab)',
      'After=network.target',
      '',
      '[Service]',
      `ExecStart=${PVE_FOLDER}/bin/nightshift-lab-pve daemon`,
      'Restart=on-failure',
      '',
      '[Install]',
      'WantedBy=multi-user.target',
      '',
    ].join('\n'),
  )
  files.link('/etc/systemd/system/multi-user.target.wants/pvescheduler.service', '/etc/systemd/system/pvescheduler.service')
}
