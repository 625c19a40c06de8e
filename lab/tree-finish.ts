/**
 * What makes a Debian tree into a lab tree: needless units masked (boot is quick and light), no keys and no machine id of its own, servers off until
 * a host switches them on, and a BusyBox world for the hosts that have nothing else. Only files are written; nothing of the tree is started.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TIME_ZONE } from './catalog.js'

/** Units of a whole machine that make no sense in a lab host, or would cost time or reach for what is the machine's. */
const MASKED = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty.target',
  'getty-static.service',
  'getty@tty1.service',
  'console-getty.service',
  'systemd-ask-password-console.path',
  'systemd-ask-password-wall.path',
  'systemd-logind.service',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
  'systemd-user-sessions.service',
  'systemd-firstboot.service',
  'systemd-machine-id-commit.service',
  'systemd-modules-load.service',
  'systemd-random-seed.service',
  'systemd-repart.service',
  'systemd-sysctl.service',
  'systemd-sysusers.service',
  'systemd-binfmt.service',
  'systemd-pstore.service',
  'systemd-pcrphase.service',
  'systemd-pcrphase-sysinit.service',
  'systemd-journald-audit.socket',
  'systemd-journal-flush.service',
  'systemd-timesyncd.service',
  'systemd-initctl.socket',
  'systemd-network-generator.service',
  'systemd-remount-fs.service',
  'systemd-udevd.service',
  'systemd-udev-trigger.service',
  'systemd-udevd-control.socket',
  'systemd-udevd-kernel.socket',
  'systemd-tmpfiles-setup-dev.service',
  'systemd-tmpfiles-clean.timer',
  'systemd-journal-catalog-update.service',
  'systemd-networkd.service',
  'systemd-resolved.service',
  'kmod-static-nodes.service',
  'dev-hugepages.mount',
  'dev-mqueue.mount',
  'proc-sys-fs-binfmt_misc.automount',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'rsync.service',
  'tmp.mount',
  'ssh.socket',
]

/** Servers that only some hosts run; a host that has one enables it. */
const OFF_UNTIL_ENABLED = ['postfix.service', 'dovecot.service', 'postgresql.service', 'radicale.service', 'remote-fs.target']

/** Beside BusyBox: what a NAS or an appliance really has, and what SSH itself needs to work. */
const BESIDE_BUSYBOX = { bin: ['ssh', 'scp', 'rsync'], sbin: ['sshd'] } as const

/** The folder of the tree that takes the place of /usr on hosts with BusyBox only. */
export const BUSYBOX_FOLDER = '/usr/lib/nightshift-lab/busybox'

/** Applets that Debian's BusyBox 1.35 has; DSM and Home Assistant OS have these and more. Found by `busybox --list`. */
const APPLETS = (
  '[ [[ ar arch arping ascii ash awk base64 basename bc bunzip2 bzcat bzip2 cal cat chgrp chmod chown chroot clear cmp cp cpio crc32 cut date dc dd df diff dirname dmesg ' +
  'dnsdomainname dos2unix du echo egrep env expand expr factor fallocate false fgrep find fold free ftpget ftpput getopt grep groups gunzip gzip head hexdump hostid ' +
  'hostname id ifconfig ionice ip ipcalc kill killall last less link ln logger logname ls lsscsi lzcat lzma md5sum mkdir mkfifo mknod mktemp more mount mt mv nc netstat nl ' +
  'nologin nproc nslookup nuke od paste patch pidof ping ping6 printf ps pwd readlink realpath renice reset resume rev rm rmdir route run-parts sed seq setsid sh sha1sum ' +
  'sha256sum sha3sum sha512sum shred shuf sleep sort stat strings stty sync sysctl tac tail tar taskset tee telnet test tftp time timeout top touch tr traceroute true ' +
  'truncate ts tty umount uname uncompress unexpand uniq unix2dos unlink unlzma unshare unxz unzip uptime usleep uudecode uuencode vi w watch wc wget which who whoami xargs ' +
  'xxd xz xzcat yes zcat'
).split(' ')

/** Finishes a fresh tree in place. */
export function finishTree(tree: string): void {
  const units = join(tree, 'etc/systemd/system')
  for (const unit of MASKED) replaceByLink(join(units, unit), '/dev/null')
  for (const unit of OFF_UNTIL_ENABLED) rmSync(join(units, 'multi-user.target.wants', unit), { force: true })
  // The message bus starts when somebody asks for it (dbus.socket): it takes memory and an inotify instance, of which a machine has few.
  rmSync(join(tree, 'usr/lib/systemd/system/multi-user.target.wants/dbus.service'), { force: true })
  for (const file of readdirSync(join(tree, 'etc/ssh'))) if (file.startsWith('ssh_host_')) rmSync(join(tree, 'etc/ssh', file))
  replaceByLink(join(units, 'default.target'), '/lib/systemd/system/multi-user.target')

  writeFileSync(join(tree, 'etc/machine-id'), '')
  writeFileSync(join(tree, 'etc/resolv.conf'), '')
  writeFileSync(join(tree, 'etc/fstab'), '')
  replaceByLink(join(tree, 'etc/localtime'), `/usr/share/zoneinfo/${TIME_ZONE}`)
  writeFileSync(join(tree, 'etc/timezone'), `${TIME_ZONE}\n`)

  // The journal lives in /run: a lab host keeps no logs over a restart, and nobody waits for a disk.
  writeBelow(
    tree,
    'etc/systemd/journald.conf.d/lab.conf',
    '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nForwardToConsole=no\n',
  )
  // libfaketime (the lab's clock) must move the time of day only: not the monotonic clock that timeouts live by, and not the times of files on disk.
  const clock = 'NO_FAKE_STAT=1\nFAKETIME_DONT_FAKE_MONOTONIC=1\nFAKETIME_CACHE_DURATION=1\n'
  writeBelow(tree, 'etc/systemd/system.conf.d/lab.conf', `[Manager]\nDefaultEnvironment=${clock.trim().split('\n').join(' ')}\nDefaultTimeoutStopSec=5s\n`)
  writeFileSync(join(tree, 'etc/environment'), clock)
  // Without logind nobody would take this file away again, and pam_nologin keeps everybody but root out while it is there.
  replaceByLink(join(tree, 'etc/tmpfiles.d/systemd-nologin.conf'), '/dev/null')
  makeBusyBoxWorld(tree)
}

/** Two folders that are mounted over /usr/bin and /usr/sbin for sshd and everything below it (see `host-files.ts`). */
function makeBusyBoxWorld(tree: string): void {
  const bin = join(tree, BUSYBOX_FOLDER, 'bin')
  const sbin = join(tree, BUSYBOX_FOLDER, 'sbin')
  mkdirSync(bin, { recursive: true })
  mkdirSync(sbin, { recursive: true })
  copyFileSync(join(tree, 'usr/bin/busybox'), join(bin, 'busybox'))
  for (const applet of APPLETS) symlinkSync('busybox', join(bin, applet))
  for (const program of BESIDE_BUSYBOX.bin) copyFileSync(join(tree, 'usr/bin', program), join(bin, program))
  for (const program of BESIDE_BUSYBOX.sbin) copyFileSync(join(tree, 'usr/sbin', program), join(sbin, program))
}

function writeBelow(tree: string, path: string, text: string): void {
  const full = join(tree, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, text)
}

function replaceByLink(path: string, target: string): void {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  symlinkSync(target, path)
}
