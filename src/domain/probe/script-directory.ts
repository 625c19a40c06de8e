/**
 * The part of the probe script that reads one folder: what is there, how big, how old, newest first. It runs in a process
 * of its own under a time limit, because a hung network share blocks even the expansion of a pattern.
 *
 * `stat -c` exists in GNU and BusyBox alike; each record starts with the nonce, so a file name that holds line breaks cannot
 * pass for another record. For vzdump folders the verdict lines of the newest three logs of each guest are read along.
 */
import { shell } from './shell-text.js'

/** Defines `keep ID COMMAND…`: runs it, keeps its output, its errors and its exit code apart, as one frame. */
export const KEEP = shell`
keep() {
  k=$1; shift
  "$@" >"$T/$k.out" 2>"$T/$k.err"
  printf '%s\n' "$?" >"$T/$k.rc"
}
`

/** What of a per-guest log or task log is worth sending: verdicts, causes, what the archive is called, what the agent did. */
export const TELLING_LINES =
  'starting new backup job: |Starting Backup of VM |Finished Backup of VM |Backup of VM [0-9]+ failed|archive file size|creating |guest-agent|status = |ERROR|TASK |[Dd]enied|No space left|could not|unable to|got timeout|global lock|is locked|Input/output error|Stale file handle|Read-only file system'

/** Lines that are sent however many other telling ones there are. */
const VERDICT_LINES = 'Starting Backup of VM |Finished Backup of VM |Backup of VM [0-9]+ failed|archive file size|creating |guest-agent|status = |TASK '

/**
 * Defines `folder ID KIND FOLDER PATTERN…` (kind `files` or `vzdump`), which reads one folder into a frame, and is called in a process of its own.
 * Environment: `T` (folder for notes), `N` (nonce), `MOST`, `TELLING`, `VERDICT`.
 */
const READER_PROGRAM = shell`
set -f
NL='
'
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
# pick LABEL BY-GUEST ASKED: of records "MTIME SIZE MODE NAME" the newest $MOST of a family
pick() {
  sort -k1,1nr -k4 | awk -v label="$1" -v most="$MOST" -v guests="$2" -v asked="$3" '
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
# list LABEL BY-GUEST NAMES...: a record for each name; a family that has more than $MOST is cut to its newest.
# Each process costs a host a millisecond or two, so a few plain names are looked at by one and no more.
list() {
  label=$1 guests=$2 asked=$(($# - 2)); shift 2
  case "$*" in
    *"$NL"*)
      printf '%s\0' "$@" | xargs -0 stat -L -c "$N %Y %s %f %n" 2>/dev/null | awk -v m="$N" '
        function flush() { if (r != "") print r; r = "" }
        index($0, m " ") == 1 { flush(); r = substr($0, length(m) + 2); next }
        { r = r "\\n" $0 }
        END { flush() }' | pick "$label" "$guests" "$asked"
      return ;;
  esac
  if [ "$asked" -gt 1000 ]; then
    printf '%s\0' "$@" | xargs -0 stat -L -c '%Y %s %f %n' 2>/dev/null | pick "$label" "$guests" "$asked"
  elif [ "$asked" -gt "$MOST" ]; then
    stat -L -c '%Y %s %f %n' "$@" 2>/dev/null | pick "$label" "$guests" "$asked"
  else
    records=$(stat -L -c "$label %Y %s %f %n" "$@" 2>/dev/null)
    set -f; IFS=$NL; set -- $records; IFS=; set +f
    [ $# -eq 0 ] || printf '%s\n' "$records"
    [ "$asked" -eq $# ] || echo "unlooked $((asked - $#))"
  fi
}
# there NAMES...: false when the pattern matched nothing and stands there itself
there() { [ -e "$1" ] || [ -L "$1" ]; }
# the telling lines of the newest three logs of each guest; a pattern's names come sorted, so the newest are last
read_logs() {
  printf '%s\n' "$@" | awk -F- -v telling="$TELLING" -v verdict="$VERDICT" '
    /^\.\/vzdump-(qemu|lxc|openvz)-[0-9]+-[0-9_]+-[0-9_]+\.log$/ { name[++n] = $0; guest[n] = $2 "-" $3 }
    END {
      for (i = n; i > 0; i--) if (++logs[guest[i]] <= 3) { print "read " substr(name[i], 3); wanted[++m] = name[i] }
      for (i = 1; i <= m; i++) {
        others = 0
        while ((getline line <wanted[i]) > 0)
          if (line ~ telling && (line ~ verdict || ++others <= 8)) print "log " substr(wanted[i], 3) " " substr(line, 1, 400)
        close(wanted[i])
      }
    }'
}
# space DEVICE TOTAL USED FREE PERCENT MOUNT-POINT...: the second line of df -P; a mount point may hold blanks
space() {
  [ $# -ge 6 ] || return 0
  total=$2 free=$4; shift 5
  echo "space $total $free $*"
}
look() {
  kind=$1 dir=$2; shift 2
  if [ ! -d "$dir" ]; then
    if [ -e "$dir" ]; then echo 'state not_a_directory'; else missing; fi
    return 0
  fi
  if [ ! -r "$dir" ] || ! cd "$dir" 2>/dev/null; then echo 'state unreadable'; return 0; fi
  echo 'state present'
  df=$(df -P -k . 2>/dev/null)
  IFS=' '; space \${df#*"$NL"}
  IFS=
  set +f
  if [ "$kind" = vzdump ]; then
    set -- ./vzdump-*
    there "$1" && list v 1 "$@"
    for g in './.vzdump-*' './.rsync-partial/vzdump-*' './.~tmp~/vzdump-*'; do
      set -- $g
      there "$1" && list t 0 "$@"
    done
    set -- ./vzdump-*.log
    there "$1" && read_logs "$@"
    echo end
    return 0
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
}
folder() { id=$1; shift; keep "$id" look "$@"; }
`

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Defines `ask_folders IDS PROGRAM WORDS…`: runs the reader and after it PROGRAM, which calls `folder` once for each of the blank-separated IDS,
 * all under one time limit. The reader goes into a variable, so that it can run under `timeout`. A folder that has given no result when the
 * limit strikes gets the exit code of the limit; the others keep theirs.
 */
export const DIRECTORY_READER = `TELLING=${quoted(TELLING_LINES)}
VERDICT=${quoted(VERDICT_LINES)}
export TELLING VERDICT MOST
READER=${quoted(KEEP + READER_PROGRAM)}
ask_folders() {
  ids=$1 program=$2; shift 2
  lim "$DIR_LIMIT" sh -c "$READER$program" sh "$@" 2>"$T/\${ids%% *}.reader"
  limited=$?
  for id in $ids; do
    [ $limited -eq 0 ] || [ -f "$T/$id.rc" ] || { cat "$T/\${ids%% *}.reader" >>"$T/$id.err"; echo $limited >"$T/$id.rc"; }
  done
}`
