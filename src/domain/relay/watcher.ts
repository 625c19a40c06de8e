/**
 * The watcher: a plain shell script on a Proxmox host of another site, started every minute by systemd. After each pass whose alerts are on their way nightshift
 * leaves a mark beside it; when the mark has grown old the script says so by a way of its own. It needs nothing of nightshift.
 */

import type { RunbookSet } from '../estate.js'
import { shell } from '../probe/shell-text.js'
import type { HostRoute } from '../proof/types.js'
import type { Instant } from '../status.js'

/** The mark may be so many passes old. */
const PERIODS_WITHOUT_MARK = 3

/** One row of `watchers` in `email-relay.yaml`. */
export interface RelayWatcher {
  /** The site that nightshift runs at, or whose loss would silence it. */
  readonly watches: string
  /** Where the script lies: a Proxmox host of another site. */
  readonly host: string
  /** To whom the host's own `sendmail` is given the message; null = not by mail. */
  readonly mailTo: string | null
  /** Where the message is posted; null = not so. */
  readonly webhook: string | null
  /** `email-relay.yaml:31`. */
  readonly place: string
}

/** A watcher with everything that its files are made of. */
export interface WatcherOrder extends Pick<RelayWatcher, 'watches' | 'host' | 'mailTo' | 'webhook'> {
  readonly estate: string
  readonly mailFrom: string
  /** A mark that is older than this is a silence. */
  readonly limitSeconds: number
}

/** A mark to leave. */
export interface MarkOrder {
  readonly route: HostRoute
  readonly estate: string
  readonly passId: string
  readonly takenAt: Instant
}

/** `absent`: nobody has put a watcher there, so that a mark would be a change without approval. */
export type MarkOutcome = 'written' | 'absent'

export interface WatcherFile {
  readonly path: string
  readonly mode: string
  readonly content: string
}

export interface WatcherPaths {
  readonly script: string
  readonly service: string
  readonly timer: string
  /** Holds `mark`, and `said` while a silence has been told. */
  readonly folder: string
}

export function watcherPaths(estate: string): WatcherPaths {
  const name = `nightshift-watcher-${estate}`
  return {
    script: `/usr/local/sbin/${name}`,
    service: `/etc/systemd/system/${name}.service`,
    timer: `/etc/systemd/system/${name}.timer`,
    folder: `/var/lib/${name}`,
  }
}

/** The watchers that `email-relay.yaml` declares; none where there is no such file. */
export function watchersOf({ estate, emailRelay }: RunbookSet): WatcherOrder[] {
  if (emailRelay === undefined) return []
  const limitSeconds = PERIODS_WITHOUT_MARK * estate.monitor.periodSeconds
  return emailRelay.watchers.map(({ watches, host, mailTo, webhook }) => ({
    ...{ watches, host, mailTo, webhook, limitSeconds },
    estate: estate.id,
    mailFrom: emailRelay.relay.sender,
  }))
}

/** The files of a watcher. @param paths other ones than the host's own, for tests beside each other */
export function watcherFiles(order: WatcherOrder, paths = watcherPaths(order.estate)): { script: WatcherFile; service: WatcherFile; timer: WatcherFile } {
  return {
    script: { path: paths.script, mode: '0755', content: scriptOf(order, paths) },
    service: { path: paths.service, mode: '0644', content: serviceOf(order, paths) },
    timer: { path: paths.timer, mode: '0644', content: timerOf(order) },
  }
}

/** Replaces the mark; prints a `MarkOutcome`. For any POSIX shell, by `sh -s`. */
export function markProgram({ estate, passId, takenAt }: MarkOrder, paths = watcherPaths(estate)): string {
  return `${assigned({ script: paths.script, folder: paths.folder, at: takenAt, pass: passId, estate })}${MARK}`
}

const MARK = shell`set -eu
umask 022
[ -e "$script" ] || { echo absent; exit 0; }
mkdir -p "$folder"
printf 'at=%s\npass=%s\nestate=%s\n' "$at" "$pass" "$estate" > "$folder/mark.new"
mv -f "$folder/mark.new" "$folder/mark"
echo written
`

function scriptOf(order: WatcherOrder, { folder }: WatcherPaths): string {
  const { estate, watches, mailTo, mailFrom, webhook, limitSeconds } = order
  const settings = { estate, watches, folder, limit: String(limitSeconds), mail_to: mailTo ?? '', mail_from: mailFrom, webhook: webhook ?? '' }
  return `${HEAD}${assigned(settings)}${BODY}`
}

const HEAD = shell`#!/bin/sh
# Says when nightshift has gone silent: once, and once more when it is back. Put here and taken away by "nightshift run emailRelay",
# as email-relay.yaml declares it; a daily gate compares it. nightshift renews the mark after each pass whose alerts are on their way.
set -u
PATH="\${PATH:-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
`

// The age of the mark is told by this host's clock alone, which also dated it: two clocks need not agree.
const BODY = shell`
# Gives the message to each way that is declared; 0 when one of them took it.
say() {
  taken=1
  if [ -n "$mail_to" ]; then
    printf 'From: %s\nTo: %s\nSubject: %s\nAuto-Submitted: auto-generated\nX-Nightshift-Estate: %s\n\n%s\n' \
      "$mail_from" "$mail_to" "$1" "$estate" "$2" | sendmail -i -f "$mail_from" "$mail_to" && taken=0
  fi
  if [ -n "$webhook" ]; then
    if command -v curl > /dev/null 2>&1; then
      printf '%s\n' "$2" | curl -fsS -m 30 -o /dev/null -H "Title: $1" -H 'Priority: 5' --data-binary @- "$webhook" && taken=0
    else
      # By timeout: GNU wget would try twenty times, and the -T of BusyBox 1.35 ends with a segmentation fault.
      timeout 30 wget -q -O /dev/null --header "Title: $1" --header 'Priority: 5' --post-data "$2" "$webhook" && taken=0
    fi
  fi
  return "$taken"
}

now=$(date +%s)
# Before the first mark it counts from when this script was put here.
since=$0
[ ! -e "$folder/mark" ] || since=$folder/mark
at=$(stat -c %Y "$since") || exit 1
# A mark from the future (the clock was ahead) begins to count now.
if [ "$at" -gt "$now" ]; then touch "$since"; at=$now; fi
age=$((now - at))
last=none
[ "$since" = "$0" ] || last=$(sed -n 's/^at=\([0-9TZ:.-]*\)$/\1/p' "$since")

if [ "$age" -gt "$limit" ]; then
  [ ! -e "$folder/said" ] || exit 0
  # A host that was off itself gives nightshift the same time to renew the mark.
  read -r up rest < /proc/uptime
  [ "\${up%%.*}" -gt "$limit" ] || exit 0
  say "nightshift of $estate is silent" "For $((age / 60)) minutes no pass of nightshift (estate $estate) has come to its end
with its alerts on their way: nobody watches the backups.
It does not run, or it cannot send mail, or it cannot reach this host.

Last mark: $last
Watched from: $(uname -n), for site $watches

What to do, where nightshift runs:
  nightshift doctor

One more message comes when it is back." || exit 1
  echo "$at" > "$folder/said.new" && mv -f "$folder/said.new" "$folder/said"
elif [ -e "$folder/said" ]; then
  read -r from < "$folder/said"
  say "nightshift of $estate is back" "nightshift (estate $estate) has left a mark again, after $(((at - from) / 60)) minutes without.

Last mark: $last
Watched from: $(uname -n), for site $watches" || exit 1
  rm -f "$folder/said"
fi
`

function serviceOf({ estate, watches }: WatcherOrder, { script, folder }: WatcherPaths): string {
  return `[Unit]
Description=Says when nightshift of ${estate} (site ${watches}) has gone silent

[Service]
Type=oneshot
ExecStart=${script}
StateDirectory=${folder.slice(folder.lastIndexOf('/') + 1)}
`
}

function timerOf({ estate }: WatcherOrder): string {
  return `[Unit]
Description=Looks every minute whether nightshift of ${estate} has gone silent

[Timer]
OnCalendar=minutely

[Install]
WantedBy=timers.target
`
}

function assigned(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join('')
}
