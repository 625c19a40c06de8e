/**
 * The part of the probe script that asks a Proxmox host: at most 12 Proxmox processes (each costs half a second on real hosts),
 * at most 4 at once, each under a time limit. Everything that plain reading of a file tells is read from the file instead.
 */
import { shell } from './shell-text.js'

/** Most Proxmox processes (`pvesh`, `qm`) of one pass on one host. */
export const MOST_PROXMOX_PROCESSES = 12

/** Always asked: jobs, tasks, VMs, storages' states, containers, storages' configuration. */
const FIXED_PROCESSES = 6

/** Most schedules that the host is asked about; the rest of the room is for guest agents. */
export const MOST_SCHEDULES = 4

/** How many of a schedule's next runs are asked for: more than a week of a daily job. */
export const SCHEDULE_ITERATIONS = 10

/** Most tasks in the list, newest first. */
export const MOST_TASKS = 50

export const PROXMOX_READER = shell`
pve() { k=$1; shift; echo "$k" >>"$T/names"; keep "$k" lim "$PX_LIMIT" pvesh get "$@" --output-format json; }
rows() { sed 's/},{/}\n{/g' "$T/$1.out" 2>/dev/null; }
# read_proxmox NODE DUMP-FOLDERS-OF-TARGETS...
read_proxmox() {
  node=$1; shift
  pve jobs /cluster/backup & a=$!
  pve tasks "/nodes/$node/tasks" --typefilter vzdump --source all --limit @TASKS@ & b=$!
  pve qemu "/nodes/$node/qemu" & c=$!
  pve storage "/nodes/$node/storage" & d=$!
  echo 'nodes configs storagefile jobstates pools creations' >>"$T/names"
  keep nodes ls -1 /etc/pve/nodes
  keep configs read_configs
  keep storagefile dump_folders
  keep jobstates read_job_states
  keep pools grep -E '^pool:' /etc/pve/user.cfg
  keep creations read_creations
  n=0
  while IFS= read -r folder; do
    for known in "$@"; do [ "$known" = "$folder" ] && continue 2; done
    [ $n -lt 8 ] || break
    printf '%s %s\n' "x$n" "$folder" >>"$T/found"
    ask_directory "x$n" vzdump "$folder" & V="$V $!"
    n=$((n + 1))
  done <"$T/storagefile.out"
  if [ -s "$T/found" ]; then say begin found; cat "$T/found"; printf '\n%s\n' "$N end found 0"; fi
  wait $a $b $c $d
  pve lxc "/nodes/$node/lxc" & a=$!
  pve storages /storage & b=$!
  pids="$a $b" running=2 left=$((@MOST@ - @FIXED@)) asked=0
  {
    [ -z "$JOB" ] || rows jobs | grep -F "\"id\":\"$JOB\"" | grep -o '"schedule":"[^"\\]*"'
    rows jobs | grep -v -E '"enabled":(0|"0"|"")[,}]' | grep -o '"schedule":"[^"\\]*"' | sort -u
  } | awk '!seen[$0]++' | sed 's/^"schedule":"//; s/"$//' >"$T/wanted"
  while IFS= read -r schedule; do
    [ $asked -lt @SCHEDULES@ ] || break
    if [ $running -ge 4 ]; then wait $pids; pids= running=0; fi
    pve "schedule$asked" /cluster/jobs/schedule-analyze --schedule "$schedule" --iterations @ITERATIONS@ & pids="$pids $!"
    printf '%s %s\n' "schedule$asked" "$schedule" >>"$T/asked"
    asked=$((asked + 1)) running=$((running + 1)) left=$((left - 1))
  done <"$T/wanted"
  say begin wanted
  cat "$T/asked" 2>/dev/null
  awk -v asked="$asked" 'NR > asked { print "- " $0 }' "$T/wanted"
  printf '\n%s\n' "$N end wanted 0"
  echo tasklogs >>"$T/names"
  keep tasklogs read_task_logs
  wait $V
  for id in $(silent_agents); do
    [ $left -gt 0 ] || break
    if [ $running -ge 4 ]; then wait $pids; pids= running=0; fi
    echo "agent$id" >>"$T/names"
    keep "agent$id" lim "$PX_LIMIT" qm agent "$id" ping & pids="$pids $!"
    running=$((running + 1)) left=$((left - 1))
  done
}
# name and identity of every configured guest of every node; nothing else of the files leaves the host
read_configs() {
  set +f
  set -- /etc/pve/nodes/*/qemu-server/[0-9]*.conf /etc/pve/nodes/*/lxc/[0-9]*.conf
  for f in "$@"; do [ -f "$f" ] && printf 'conf %s\n' "$f"; done
  grep -H -E '^(\[|name:|hostname:|smbios1:|meta:|lock:|template:|agent:)' "$@" /dev/null 2>/dev/null
  set -f
  [ -d /etc/pve/nodes ]
}
# folders in which enabled storages keep backups (a "content" that names backup, or none given is none)
dump_folders() {
  awk '
    function flush() { if (path != "" && backup && !off) print path "/" sub_folder; path = ""; backup = 0; off = 0; sub_folder = "dump" }
    BEGIN { sub_folder = "dump" }
    /^[a-z]+:[ \t]*[^ \t]+[ \t]*$/ { flush(); next }
    $1 == "path" { path = $0; sub(/^[ \t]+path[ \t]+/, "", path); sub(/[ \t\/]+$/, "", path) }
    $1 == "content" { backup = ("," $2 ",") ~ /,backup,/ }
    $1 == "disable" { off = ($2 != "0") }
    $1 == "content-dirs" { n = split($2, part, ","); for (i = 1; i <= n; i++) if (part[i] ~ /^backup=/) sub_folder = substr(part[i], 8) }
    END { flush() }' /etc/pve/storage.cfg
}
read_job_states() {
  set +f
  for f in /var/lib/pve-manager/jobs/vzdump-*.json; do
    [ -f "$f" ] || continue
    line=; IFS= read -r line <"$f"
    printf '%s %s\n' "\${f##*/}" "$line"
  done
  set -f
}
read_creations() {
  set +f
  cat /var/log/pve/tasks/index.1 /var/log/pve/tasks/index 2>/dev/null | grep -o -E '^UPID:[^ ]*:(qmcreate|vzcreate):[0-9]+:[^ ]*' | tail -n 200
  set -f
  [ -r /var/log/pve/tasks/index ]
}
# the logs that matter: of each job's latest run, of running tasks, of the newest that did not end well, and of the newest
read_task_logs() {
  set +f
  {
    grep -h -o 'UPID:[^"]*' "$T/jobstates.out"
    rows tasks | grep '"status":"RUNNING"' | grep -o 'UPID:[^"]*' | head -n 3
    rows tasks | grep -v -E '"status":"(RUNNING|OK)"' | grep -o 'UPID:[^"]*' | head -n 5
    rows tasks | grep -o 'UPID:[^"]*' | head -n "$LOGS"
  } | awk '!seen[$0]++ && /^UPID:[A-Za-z0-9-]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:vzdump:[0-9]*:[^\/ ]+:$/ { split($0, f, ":"); print "/var/log/pve/tasks/" substr(f[5], length(f[5])) "/" $0; if (++n >= 20) exit }' >"$T/logs"
  set --
  while IFS= read -r f; do [ -r "$f" ] && set -- "$@" "$f"; done <"$T/logs"
  set -f
  [ $# -gt 0 ] || return 0
  awk -v telling="$TELLING" -v verdict="$VERDICT" '
    FNR == 1 { others = 0; lines = 0; name = FILENAME; sub(/.*\//, "", name); print "read " name }
    $0 ~ telling { if (($0 ~ verdict && ++lines <= 1500) || ++others <= 30) print "log " name " " substr($0, 1, 400) }' "$@" </dev/null
}
# running guests that have an agent configured, and whose newest backup log shows no freeze: is the agent dead?
silent_agents() {
  rows qemu | grep '"status":"running"' | grep -o '"vmid":[0-9]*' | sed 's/"vmid"://' >"$T/running"
  set +f
  cat "$T"/d*.out "$T"/x*.out 2>/dev/null | grep -E '^(read|log) vzdump-qemu-' >"$T/vmlogs"
  set -f
  awk -v node="/nodes/$node/" '
    FILENAME ~ /running$/ { running[$1] = 1; next }
    FILENAME ~ /configs\.out$/ {
      if (index($0, node "qemu-server/") == 0) next
      file = $0; sub(/\.conf.*/, "", file); sub(/.*\//, "", file)
      if ($0 ~ /\.conf:\[/) later[file] = 1
      if (!later[file] && $0 ~ /\.conf:agent: *(1|.*enabled=1)/) agent[file] = 1
      next }
    { split($2, part, "-"); id = part[3]
      if ($2 > newest[id]) { newest[id] = $2; frozen[id] = 0; live[id] = 0 }
      if ($2 == newest[id]) {
        if ($0 ~ /guest-fsfreeze-freeze. failed/) failed[id] = $2
        if ($0 ~ /issuing guest-agent .fs-freeze/ || $0 ~ /disabled in VM options/) frozen[id] = 1
        if ($0 ~ /status = running/) live[id] = 1
      } }
    END { for (id in newest) if (running[id] && agent[id] && live[id] && (!frozen[id] || failed[id] == newest[id])) print id }' "$T/running" "$T/configs.out" "$T/vmlogs" 2>/dev/null | sort -n
}`
  .replaceAll('@TASKS@', String(MOST_TASKS))
  .replaceAll('@MOST@', String(MOST_PROXMOX_PROCESSES))
  .replaceAll('@FIXED@', String(FIXED_PROCESSES))
  .replaceAll('@SCHEDULES@', String(MOST_SCHEDULES))
  .replaceAll('@ITERATIONS@', String(SCHEDULE_ITERATIONS))
