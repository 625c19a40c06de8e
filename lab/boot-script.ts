/**
 * What runs as the first process of a host, between `unshare` and systemd: it builds the host's own view of the world in its mount namespace.
 * Nothing that it mounts is visible on the machine, and all of it ends with the namespace, that is, with the host's last process.
 *
 * Arguments: root tree · host folder (upper, work, merged) · hostname · folder to bind for Proxmox programs, or empty · where to bind it.
 * It says its own pid on the machine on stdout, then waits for a line on stdin: by then `eth0` is there.
 */
export const BOOT_SCRIPT = `
set -eu
tree=$1 home=$2 name=$3 pve=$4 pve_at=$5
read -r pid rest < /proc/self/stat
echo "$pid"
read -r go

cd "$home"
mount -t overlay nightshift-lab -o "lowerdir=$tree,upperdir=upper,workdir=work" merged
cd merged
if [ -n "$pve" ]; then
  mount --bind "$pve" ".$pve_at"
  mount -o remount,bind,ro ".$pve_at"
fi
echo "$name" > /proc/sys/kernel/hostname

mount -t proc -o nosuid,nodev,noexec proc proc
for path in sys sysrq-trigger irq bus fs; do
  [ -e "proc/$path" ] || continue
  mount --bind "proc/$path" "proc/$path"
  mount -o remount,bind,ro "proc/$path"
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755,size=1m,nosuid dev dev
while read -r node minor; do
  mknod -m 666 "dev/$node" c 1 "$minor"
done <<NODES
null 3
zero 5
full 7
random 8
urandom 9
NODES
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=1777,size=256m,nosuid,nodev shm dev/shm
touch dev/console
mount --bind dev/null dev/console
mount -t tmpfs -o mode=755,size=64m,nosuid,nodev run run
mkdir -p run/lock
mount -t tmpfs -o mode=1777,size=256m,nosuid,nodev tmp tmp

pivot_root . .
umount -l .
cd /
# A disk that is mounted later must also appear to services with a mount namespace of their own; systemd leaves this to us in a container.
mount --make-rshared /
echo booting
exec > /dev/null 2>&1 < /dev/null
# Never: the machine's clock, modules, devices, kernel log, raw memory. "container" tells systemd that clocks and modules are not its business.
exec env -i container=nightshift-lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  setpriv --bounding-set -sys_time,-sys_module,-mknod,-syslog,-sys_rawio,-wake_alarm,-mac_admin,-mac_override \\
  --inh-caps -sys_time,-sys_module,-mknod,-syslog,-sys_rawio,-wake_alarm,-mac_admin,-mac_override /lib/systemd/systemd
`
