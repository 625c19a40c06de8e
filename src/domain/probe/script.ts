/**
 * Renders the one POSIX shell script that reads a host in a pass. It is sent as standard input of `sh -s`, runs on dash and on
 * BusyBox ash, changes nothing on the host, and keeps its notes in a private folder that is removed at the end.
 *
 * Every answer stands in a frame `NONCE begin ID` … `NONCE end ID RC`; the nonce is random for each pass, so nothing that was on
 * the host before can forge a frame. The values of a plan reach the script only as quoted words, never as shell code.
 */
import type { DirectoryPlan, HostProbePlan, ProducerPlan } from '../observation.js'
import { DIRECTORY_READER } from './script-directory.js'
import { PROXMOX_READER } from './script-proxmox.js'
import { shell } from './shell-text.js'

/** What a frame marker starts with: at least 128 random bits, in letters and digits. */
export const NONCE_SHAPE = /^[A-Za-z0-9]{22,64}$/

/** Most files listed of one family (a pattern; or one guest's archives, logs, …). */
export const MOST_FILES_PER_FAMILY = 40

/** A folder that does not answer within this time is unknown; a hung NFS server blocks `stat` for ever. */
export const DIRECTORY_TIMEOUT_SECONDS = 20

/** One Proxmox process may take this long. */
export const PROXMOX_TIMEOUT_SECONDS = 25

/** How many of the newest vzdump tasks have their logs read, in a pass and where one job's runs are asked for. */
const NEWEST_LOGS = 2
const NEWEST_LOGS_OF_JOB = 15

/** One word of shell, whatever it holds. NUL cannot be passed and is refused. */
export function shellQuote(word: string): string {
  if (word.includes('\0')) throw new Error('a NUL character cannot be part of a shell word')
  return `'${word.replaceAll("'", "'\\''")}'`
}

/**
 * @param nonce see `NONCE_SHAPE`; a new one for every pass
 * @throws Error when the nonce is not of that shape or a value of the plan holds a NUL
 */
export function renderProbeScript(plan: HostProbePlan, nonce: string): string {
  if (!NONCE_SHAPE.test(nonce)) throw new Error('the nonce must be 22 to 64 letters and digits')
  const parts = [
    HEAD.replaceAll('@NONCE@', nonce),
    `DIR_LIMIT=${DIRECTORY_TIMEOUT_SECONDS}`,
    `PX_LIMIT=${PROXMOX_TIMEOUT_SECONDS}`,
    `MOST=${MOST_FILES_PER_FAMILY}`,
    `JOB=${shellQuote(plan.proxmox?.job ?? '')}`,
    `LOGS=${plan.proxmox?.job === undefined ? NEWEST_LOGS : NEWEST_LOGS_OF_JOB}`,
    DIRECTORY_READER,
    plan.producers.length > 0 ? PRODUCER_READER : '',
    plan.proxmox ? PROXMOX_READER : '',
    'main() {',
    OPENING,
    ...plan.producers.filter(({ kind }) => kind === 'transfer').map(renderProducer),
    ...plan.directories.map(renderDirectory),
    plan.proxmox
      ? `read_proxmox ${shellQuote(plan.proxmox.node)} ${plan.directories
          .filter(({ vzdump }) => vzdump)
          .map(({ basePath }) => shellQuote(basePath))
          .join(' ')}`
      : '',
    ...plan.producers.filter(({ kind }) => kind !== 'transfer').map(renderProducer),
    CLOSING,
    '}',
    'main </dev/null',
    '',
  ]
  return parts.filter((part) => part !== '').join('\n')
}

function renderDirectory(directory: DirectoryPlan): string {
  const words = [directory.id, directory.vzdump ? 'vzdump' : 'files', directory.basePath, ...(directory.vzdump ? [] : directory.globs)]
  return `ask_directory ${words.map(shellQuote).join(' ')} &${directory.vzdump ? ' V="$V $!"' : ''}`
}

function renderProducer(producer: ProducerPlan): string {
  switch (producer.kind) {
    case 'cron':
      return `ask_cron ${shellQuote(producer.id)} ${shellQuote(producer.match)}`
    case 'timer':
      return `ask_timer ${shellQuote(producer.id)} ${shellQuote(producer.unit)}`
    case 'transfer':
      return `ask_transfer ${shellQuote(producer.id)} ${shellQuote(producer.match)} ${shellQuote(producer.destination)} &`
  }
}

/** `lim SECONDS COMMAND…`: GNU and newer BusyBox know `-k`, older ones do not, the oldest want `-t`. */
const HEAD = shell`export LC_ALL=C.UTF-8 LANG=C.UTF-8 PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
unset TZ CDPATH GREP_OPTIONS POSIXLY_CORRECT
umask 077
set +e +u -f
N=@NONCE@
NL='
'
export N
say() { printf '%s\n' "$N $*"; }
if timeout -k 1 5 true 2>/dev/null; then lim() { timeout -k 2 "$@"; }
elif timeout 5 true 2>/dev/null; then lim() { timeout "$@"; }
elif timeout -t 5 true 2>/dev/null; then lim() { timeout -t "$@"; }
else lim() { shift; "$@"; }
fi
# keep ID COMMAND...: runs it, keeps its output, its errors and its exit code apart, as one frame
keep() {
  k=$1; shift
  "$@" >"$T/$k.out" 2>"$T/$k.err"
  printf '%s\n' "$?" >"$T/$k.rc"
}
show() {
  for k in "$@"; do
    [ -f "$T/$k.rc" ] || { say begin "$k"; say end "$k" lost; continue; }
    read -r rc <"$T/$k.rc"
    say begin "$k"
    cat "$T/$k.out"
    if [ -s "$T/$k.err" ]; then printf '\n%s\n' "$N errors $k"; head -c 2000 "$T/$k.err"; fi
    printf '\n%s\n' "$N end $k $rc"
  done
}`

const OPENING = shell`say clock "$(date '+%s %N %z')"
T=
for d in /dev/shm /run /tmp /var/tmp; do
  T=$(mktemp -d "$d/nightshift.XXXXXX" 2>/dev/null) && [ -d "$T" ] && break
  T=
done
[ -n "$T" ] || { say fatal "no folder for notes: mktemp -d failed in /dev/shm, /run, /tmp and /var/tmp"; return 0; }
trap 'rm -rf -- "$T"' EXIT
trap 'exit 143' TERM HUP INT
h=; read -r h </proc/sys/kernel/hostname; say hostname "$h"
z=$(readlink /etc/localtime 2>/dev/null); [ -n "$z" ] || { [ -r /etc/timezone ] && read -r z </etc/timezone; }; say zone "$z"
say begin mounts
while read -r dev mp type rest; do
  case $type in proc|sysfs|cgroup*|overlay|mqueue|devpts|devtmpfs|securityfs|debugfs|tracefs|pstore|bpf|nsfs|autofs|configfs|hugetlbfs|ramfs|squashfs) [ "$mp" = / ] || continue ;; esac
  printf '%s %s %s\n' "$dev" "$mp" "$type"
done </proc/mounts
printf '\n%s\n' "$N end mounts 0"
V=`

const CLOSING = shell`wait
show $(cat "$T"/names 2>/dev/null)
say clock-end "$(date '+%s %N')"
say done`

const PRODUCER_READER = shell`# how many active lines of all crontabs hold these words; the lines themselves may hold secrets and stay on the host
cron_lines() {
  set +f
  cat /etc/crontab /etc/cron.d/* /var/spool/cron/crontabs/* /var/spool/cron/* /etc/crontabs/* 2>/dev/null | grep -v '^[[:space:]]*#' | grep -c -F -e "$1"
  set -f
}
ask_cron() { say producer "$1" lines "$(cron_lines "$2")" readable "$(crontabs_readable)"; }
crontabs_readable() {
  for f in /var/spool/cron/crontabs /var/spool/cron /etc/crontabs /etc/cron.d; do [ -d "$f" ] && [ ! -r "$f" ] && { printf no; return; }; done
  printf yes
}
ask_timer() {
  u=$(lim 10 systemctl is-active -- "$2" 2>/dev/null | head -n 1)
  say producer "$1" unit "\${u:-not-found}"
}
ask_transfer() {
  echo "$1" >>"$T/names"
  keep "$1" transfer "$2" "$3"
}
transfer() {
  printf 'lines %s readable %s\n' "$(cron_lines "$1")" "$(crontabs_readable)"
  lim 12 ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -- "$2" true
}`
