/**
 * The part of the probe script that reads one folder: what is there, how big, how old, newest first. It runs as a process of its
 * own under a time limit, because a hung network share blocks even the expansion of a pattern.
 *
 * `stat -c` exists in GNU and BusyBox alike; each record starts with the nonce, so a file name that holds line breaks cannot
 * pass for another record. For vzdump folders the verdict lines of the newest three logs of each guest are read along.
 */
import { shell } from './shell-text.js'

/** What of a per-guest log or task log is worth sending: verdicts, causes, what the archive is called, what the agent did. */
export const TELLING_LINES =
  'starting new backup job: |Starting Backup of VM |Finished Backup of VM |Backup of VM [0-9]+ failed|archive file size|creating |guest-agent|status = |ERROR|TASK |[Dd]enied|No space left|could not|unable to|got timeout|global lock|is locked|Input/output error|Stale file handle|Read-only file system'

/** Lines that are sent however many other telling ones there are. */
const VERDICT_LINES = 'Starting Backup of VM |Finished Backup of VM |Backup of VM [0-9]+ failed|archive file size|creating |guest-agent|status = |TASK '

/** Arguments: kind (`files` or `vzdump`), folder, patterns. Environment: `N` (nonce), `MOST`, `TELLING`, `VERDICT`. */
const READER_PROGRAM = shell`
kind=$1 dir=$2; shift 2
missing() {
  p=$dir
  while [ -n "$p" ] && [ "$p" != / ]; do
    p=\${p%/*}
    [ -d "\${p:-/}" ] || continue
    [ -x "\${p:-/}" ] || { echo 'state unreadable'; return; }
    break
  done
  echo 'state missing'
}
if [ ! -d "$dir" ]; then
  if [ -e "$dir" ]; then echo 'state not_a_directory'; else missing; fi
  exit 0
fi
if [ ! -r "$dir" ] || ! cd "$dir" 2>/dev/null; then echo 'state unreadable'; exit 0; fi
echo 'state present'
df -P -k . 2>/dev/null | awk 'NR == 2 { m = $6; for (i = 7; i <= NF; i++) m = m " " $i; print "space " $2 " " $4 " " m }'
IFS=
# list LABEL BY-GUEST NAMES...: a record for each name, newest first, at most $MOST of a family
list() {
  label=$1 guests=$2; shift 2
  printf '%s\0' "$@" | xargs -0 stat -L -c "$N %Y %s %f %n" 2>/dev/null | awk -v m="$N" '
    function flush() { if (r != "") print r; r = "" }
    index($0, m " ") == 1 { flush(); r = substr($0, length(m) + 2); next }
    { r = r "\\n" $0 }
    END { flush() }' | sort -k1,1nr -k4 | awk -v label="$label" -v most="$MOST" -v guests="$guests" -v asked="$#" '
    { family = label
      if (guests) {
        family = $4
        gsub(/[0-9][0-9][0-9][0-9]_[0-9][0-9]_[0-9][0-9]-[0-9][0-9]_[0-9][0-9]_[0-9][0-9]/, "@", family)
      }
      if (!(family in count) && ++families > 3000) { dropped++; next }
      if (++count[family] <= most && ++lines <= 12000) print label " " $0
      else if (count[family] <= most) dropped++ }
    END { for (f in count) if (count[f] > most) print "count " count[f] " " f
      if (dropped) print "dropped " dropped
      if (asked > NR) print "unlooked " (asked - NR) }'
}
# there NAMES...: false when the pattern matched nothing and stands there itself
there() { [ -e "$1" ] || [ -L "$1" ]; }
set +f
if [ "$kind" = vzdump ]; then
  set -- ./vzdump-*
  there "$1" && list v 1 "$@"
  for g in './.vzdump-*' './.rsync-partial/vzdump-*' './.~tmp~/vzdump-*'; do
    set -- $g
    there "$1" && list t 0 "$@"
  done
  set -- ./vzdump-*.log
  there "$1" || { echo end; exit 0; }
  logs=$(printf '%s\n' "$@" | grep -E '^\./vzdump-(qemu|lxc|openvz)-[0-9]+-[0-9_]+-[0-9_]+\.log$' | sort -r | awk -F- '{ k = $2 "-" $3; if (++n[k] <= 3) print }')
  [ -n "$logs" ] || { echo end; exit 0; }
  IFS='
'
  printf '%s\n' $logs | awk '{ print "read " substr($0, 3) }'
  awk -v telling="$TELLING" -v verdict="$VERDICT" '
    FNR == 1 { others = 0 }
    $0 ~ telling { if ($0 ~ verdict || ++others <= 8) print "log " substr(FILENAME, 3) " " substr($0, 1, 400) }' $logs </dev/null 2>/dev/null
  echo end
  exit 0
fi
i=0
for g in "$@"; do
  set -- ./$g
  there "$1" && list "f$i" 0 "$@"
  case $g in */*) d=\${g%/*}/ b=\${g##*/} ;; *) d= b=$g ;; esac
  for t in "./$d$b.tmp" "./$d$b.part" "./$d$b.partial" "./$d$b.filepart" "./$d.$b.??????" "./$d.rsync-partial/$b" "./$d.~tmp~/$b"; do
    set -- $t
    there "$1" && list t 0 "$@"
  done
  i=$((i + 1))
done
echo end
`

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Defines `ask_directory ID KIND FOLDER PATTERN…`. The program above goes into a variable, so that it can run under `timeout`. */
export const DIRECTORY_READER = `TELLING=${quoted(TELLING_LINES)}
VERDICT=${quoted(VERDICT_LINES)}
export TELLING VERDICT MOST
READER=${quoted(READER_PROGRAM)}
ask_directory() {
  printf '%s\\n' "$1" >>"$T/names"
  id=$1; shift
  keep "$id" lim "$DIR_LIMIT" sh -c "$READER" sh "$@"
}`
