/**
 * Renders the one POSIX shell script that reads a host in a pass. It is sent as standard input of `sh -s`, runs on dash and on
 * BusyBox ash, changes nothing on the host, and keeps its notes in a private folder that is removed at the end.
 *
 * Every answer stands in a frame `NONCE begin ID` … `NONCE end ID RC`; the nonce is random for each pass, so nothing that was on
 * the host before can forge a frame. The values of a plan reach the script only as quoted words, never as shell code.
 */
import type { DirectoryPlan, HostProbePlan, ProducerPlan } from '../observation.js'
import { DIRECTORY_READER, KEEP } from './script-directory.js'
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
    KEEP,
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
    ...renderTransfers(plan.producers),
    plan.directories.length > 0 ? renderDirectories(plan.directories) : '',
    plan.proxmox
      ? `read_proxmox ${shellQuote(plan.proxmox.node)} ${plan.directories
          .filter(({ vzdump }) => vzdump)
          .map(({ basePath }) => shellQuote(basePath))
          .join(' ')}`
      : '',
    ...renderCronsAndTimers(plan.producers),
    CLOSING,
    '}',
    'main </dev/null',
    '',
  ]
  return parts.filter((part) => part !== '').join('\n')
}

function renderDirectories(directories: readonly DirectoryPlan[]): string {
  const reading = directories.map(({ id, vzdump, basePath, globs }) =>
    ['folder', ...[id, vzdump ? 'vzdump' : 'files', basePath, ...(vzdump ? [] : globs)].map(shellQuote), '&'].join(' '),
  )
  const ids = directories.map(({ id }) => id).join(' ')
  return `echo ${shellQuote(ids)} >>"$T/names"\nask_folders ${[ids, [...reading, 'wait'].join('\n')].map(shellQuote).join(' ')} & V=$!`
}

function renderTransfers(producers: readonly ProducerPlan[]): string[] {
  const transfers = producers.filter((producer) => producer.kind === 'transfer')
  return [...new Set(transfers.map(({ destination }) => destination))].map((destination) => {
    const same = transfers.filter((transfer) => transfer.destination === destination)
    return `ask_transfers ${[same.map(({ id }) => id).join(' '), destination, ...same.map(({ match }) => match)].map(shellQuote).join(' ')} &`
  })
}

function renderCronsAndTimers(producers: readonly ProducerPlan[]): string[] {
  const crons = producers.filter((producer) => producer.kind === 'cron')
  return [
    ...(crons.length > 0 ? [`ask_crons ${[crons.map(({ id }) => id).join(' '), ...crons.map(({ match }) => match)].map(shellQuote).join(' ')}`] : []),
    ...producers.filter((producer) => producer.kind === 'timer').map(({ id, unit }) => `ask_timer ${shellQuote(id)} ${shellQuote(unit)}`),
  ]
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
if now=$(timeout -k 1 5 date '+%s %N %z' 2>/dev/null); then lim() { timeout -k 2 "$@"; }
elif now=$(timeout 5 date '+%s %N %z' 2>/dev/null); then lim() { timeout "$@"; }
elif now=$(timeout -t 5 date '+%s %N %z' 2>/dev/null); then lim() { timeout -t "$@"; }
else now=$(date '+%s %N %z'); lim() { shift; "$@"; }
fi
show() {
  ids= list=
  while read -r line; do ids="$ids $line"; done <"$T/names"
  for k in $ids; do
    rc=lost
    [ -f "$T/$k.rc" ] && read -r rc <"$T/$k.rc"
    say begin "$k" >"$T/$k.head"
    {
      if [ -s "$T/$k.err" ]; then printf '\n%s\n' "$N errors $k"; head -c 2000 "$T/$k.err"; fi
      printf '\n%s\n' "$N end $k $rc"
    } >"$T/$k.tail"
    [ -f "$T/$k.out" ] || : >"$T/$k.out"
    list="$list $T/$k.head $T/$k.out $T/$k.tail"
  done
  cat $list
}`

const OPENING = shell`say clock "$now"
T=
for d in /dev/shm /run /tmp /var/tmp; do
  T=$(mktemp -d "$d/nightshift.XXXXXX" 2>/dev/null) && [ -d "$T" ] && break
  T=
done
[ -n "$T" ] || { say fatal "no folder for notes: mktemp -d failed in /dev/shm, /run, /tmp and /var/tmp"; return 0; }
export T
: >"$T/names"
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
show
say clock-end "$(date '+%s %N')"
say done`

const PRODUCER_READER = shell`# count_lines FILE WORDS...: in how many active lines of all crontabs each stands; the lines themselves may hold secrets and stay on the host
count_lines() {
  counted=$1; shift
  readable=yes words=$#
  for f in /var/spool/cron/crontabs /var/spool/cron /etc/crontabs /etc/cron.d; do [ -d "$f" ] && [ ! -r "$f" ] && readable=no; done
  set +f
  for f in /etc/crontab /etc/cron.d/* /var/spool/cron/crontabs/* /var/spool/cron/* /etc/crontabs/*; do [ -f "$f" ] && [ -r "$f" ] && set -- "$@" "$f"; done
  set -f
  awk -v words="$words" '
    BEGIN { for (i = 1; i <= words; i++) { word[i] = ARGV[i]; ARGV[i] = "" } }
    !/^[ \t]*#/ { for (i = 1; i <= words; i++) if (index($0, word[i])) lines[i]++ }
    END { for (i = 1; i <= words; i++) print lines[i] + 0 }' "$@" >"$counted"
}
# ask_crons IDS WORDS...: one word for each of the blank-separated ids
ask_crons() {
  ids=$1; shift
  count_lines "$T/crons" "$@"
  for id in $ids; do lines=; read -r lines; say producer "$id" lines "$lines" readable "$readable"; done <"$T/crons"
}
ask_timer() {
  u=$(lim 10 systemctl is-active -- "$2" 2>/dev/null)
  u=\${u%%"$NL"*}
  say producer "$1" unit "\${u:-not-found}"
}
# ask_transfers IDS DESTINATION WORDS...: the way to a destination is tried once, whatever number of transfers takes it
ask_transfers() {
  ids=$1 to=$2 first=\${1%% *}; shift 2
  echo "$ids" >>"$T/names"
  count_lines "$T/$first.lines" "$@"
  lim 12 ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -- "$to" true >/dev/null 2>"$T/$first.err"
  code=$?
  for id in $ids; do
    lines=; read -r lines
    echo "lines $lines readable $readable" >"$T/$id.out"
    [ "$id" = "$first" ] || [ ! -s "$T/$first.err" ] || cat "$T/$first.err" >"$T/$id.err"
    echo $code >"$T/$id.rc"
  done <"$T/$first.lines"
}`
