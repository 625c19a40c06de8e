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
# read_proxmox NODE DUMP-FOLDERS-OF-TARGETS...
read_proxmox() {
  node=$1; shift
  pve jobs /cluster/backup & a=$!
  pve tasks "/nodes/$node/tasks" --typefilter vzdump --source all --limit @TASKS@ & b=$!
  pve qemu "/nodes/$node/qemu" & c=$!
  pve storage "/nodes/$node/storage" & d=$!
  echo 'nodes configs storagefile jobstates pools creations' >>"$T/names"
  keep nodes read_nodes
  keep configs read_configs
  keep storagefile dump_folders
  keep jobstates read_job_states
  keep pools grep -E '^pool:' /etc/pve/user.cfg
  keep creations read_creations
  k=$# n=0 found= found_ids=
  while IFS= read -r folder; do
    for known in "$@"; do [ "$known" = "$folder" ] && continue 2; done
    [ $n -lt 8 ] || break
    set -- "$@" "$folder"
    found="\${found}x$n $folder$NL" found_ids="$found_ids x$n"
    n=$((n + 1))
  done <"$T/storagefile.out"
  shift $k
  if [ $n -gt 0 ]; then
    printf '%s\n' "$N begin found" "$found" "$N end found 0"
    echo "$found_ids" >>"$T/names"
    ask_folders "\${found_ids# }" 'i=0; for f in "$@"; do folder "x$i" vzdump "$f" & i=$((i + 1)); done; wait' "$@" & V="$V $!"
  fi
  wait $a $b $c $d
  pve lxc "/nodes/$node/lxc" & a=$!
  pve storages /storage & b=$!
  pids="$a $b" running=2 left=$((@MOST@ - @FIXED@)) asked=0
  JOB=$JOB awk '
    function schedule_of(row) { return match(row, /"schedule":"[^"\\]*"/) ? substr(row, RSTART + 12, RLENGTH - 13) : "" }
    { n = split($0, part, /[}],[{]/); for (i = 1; i <= n; i++) row[++rows] = part[i] }
    END {
      mine = "\"id\":\"" ENVIRON["JOB"] "\""
      for (i = 1; i <= rows; i++) if (index(row[i], mine)) wanted[++m] = schedule_of(row[i])
      for (i = 1; i <= rows; i++) if (row[i] !~ /"enabled":(0|"0"|"")([,}]|$)/) wanted[++m] = schedule_of(row[i])
      for (i = 1; i <= m; i++) if (wanted[i] != "" && !seen[wanted[i]]++) print wanted[i]
    }' "$T/jobs.out" >"$T/wanted"
  wanted=
  while IFS= read -r schedule; do
    if [ $asked -ge @SCHEDULES@ ]; then wanted="$wanted- $schedule$NL"; continue; fi
    if [ $running -ge 4 ]; then wait $pids; pids= running=0; fi
    pve "schedule$asked" /cluster/jobs/schedule-analyze --schedule "$schedule" --iterations @ITERATIONS@ & pids="$pids $!"
    wanted="\${wanted}schedule$asked $schedule$NL"
    asked=$((asked + 1)) running=$((running + 1)) left=$((left - 1))
  done <"$T/wanted"
  printf '%s\n' "$N begin wanted" "$wanted" "$N end wanted 0"
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
read_nodes() {
  [ -r /etc/pve/nodes ] || { echo "/etc/pve/nodes cannot be read" >&2; return 1; }
  set +f
  for f in /etc/pve/nodes/*; do [ -e "$f" ] && printf '%s\n' "\${f##*/}"; done
  set -f
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
  [ -r /var/log/pve/tasks/index ] || return 1
  set --
  for f in /var/log/pve/tasks/index.1 /var/log/pve/tasks/index; do [ -r "$f" ] && set -- "$@" "$f"; done
  awk '
    match($0, /^UPID:[^ ]*:(qmcreate|vzcreate):[0-9]+:[^ ]*/) { upid[++n] = substr($0, 1, RLENGTH) }
    END { for (i = n > 200 ? n - 199 : 1; i <= n; i++) print upid[i] }' "$@"
}
# the logs that matter: of each job's latest run, of running tasks, of the newest that did not end well, and of the newest
read_task_logs() {
  awk -v telling="$TELLING" -v verdict="$VERDICT" -v newest="$LOGS" '
    function upid_in(text) { return match(text, /UPID:[^"]*/) ? substr(text, RSTART, RLENGTH) : "" }
    function read_log(upid,    part, path, line, opened, others, lines) {
      if (seen[upid]++ || logs >= 20) return
      if (upid !~ /^UPID:[A-Za-z0-9-]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:vzdump:[0-9]*:[^\/ ]+:$/) return
      logs++
      split(upid, part, ":")
      path = "/var/log/pve/tasks/" substr(part[5], length(part[5])) "/" upid
      while ((getline line <path) > 0) {
        if (!opened++) print "read " upid
        if (line ~ telling && ((line ~ verdict && ++lines <= 1500) || ++others <= 30)) print "log " upid " " substr(line, 1, 400)
      }
      close(path)
    }
    FILENAME ~ /jobstates\.out$/ {
      rest = $0
      while (match(rest, /UPID:[^"]*/)) { latest[++jobs] = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH) }
      next }
    { n = split($0, row, /[}],[{]/)
      for (i = 1; i <= n; i++) { task[++tasks] = row[i] } }
    END {
      for (i = 1; i <= jobs; i++) read_log(latest[i])
      for (i = 1; i <= tasks && running < 3; i++) if (task[i] ~ /"status":"RUNNING"/ && upid_in(task[i])) { running++; read_log(upid_in(task[i])) }
      for (i = 1; i <= tasks && bad < 5; i++) if (task[i] !~ /"status":"(RUNNING|OK)"/ && upid_in(task[i])) { bad++; read_log(upid_in(task[i])) }
      for (i = 1; i <= tasks && newest > 0; i++) if (upid_in(task[i])) { newest--; read_log(upid_in(task[i])) }
    }' "$T/jobstates.out" "$T/tasks.out"
}
# running guests that have an agent configured, and whose newest backup log shows no freeze: is the agent dead?
silent_agents() {
  set +f
  set -- "$T/qemu.out" "$T/configs.out"
  for f in "$T"/d*.out "$T"/x*.out; do [ -f "$f" ] && set -- "$@" "$f"; done
  set -f
  awk -v node="/nodes/$node/" '
    FILENAME ~ /qemu\.out$/ {
      n = split($0, row, /[}],[{]/)
      for (i = 1; i <= n; i++)
        if (row[i] ~ /"status":"running"/ && match(row[i], /"vmid":[0-9]+/)) running[substr(row[i], RSTART + 7, RLENGTH - 7)] = 1
      next }
    FILENAME ~ /configs\.out$/ {
      if (index($0, node "qemu-server/") == 0) next
      file = $0; sub(/\.conf.*/, "", file); sub(/.*\//, "", file)
      if ($0 ~ /\.conf:\[/) later[file] = 1
      if (!later[file] && $0 ~ /\.conf:agent: *(1|.*enabled=1)/) agent[file] = 1
      next }
    /^(read|log) vzdump-qemu-/ {
      split($2, part, "-"); id = part[3]
      if ($2 > newest[id]) { newest[id] = $2; frozen[id] = 0; live[id] = 0 }
      if ($2 == newest[id]) {
        if ($0 ~ /guest-fsfreeze-freeze. failed/) failed[id] = $2
        if ($0 ~ /issuing guest-agent .fs-freeze/ || $0 ~ /disabled in VM options/) frozen[id] = 1
        if ($0 ~ /status = running/) live[id] = 1
      } }
    END { for (id in newest) if (running[id] && agent[id] && live[id] && (!frozen[id] || failed[id] == newest[id])) print id | "sort -n" }' "$@" 2>/dev/null
}`
  .replaceAll('@TASKS@', String(MOST_TASKS))
  .replaceAll('@MOST@', String(MOST_PROXMOX_PROCESSES))
  .replaceAll('@FIXED@', String(FIXED_PROCESSES))
  .replaceAll('@SCHEDULES@', String(MOST_SCHEDULES))
  .replaceAll('@ITERATIONS@', String(SCHEDULE_ITERATIONS))
