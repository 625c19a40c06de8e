/**
 * A year of application dumps: real, small archives with real SQL, one a night, growing like the data behind them.
 * And the programs that make the next ones. Pure.
 */
import { gzipSync } from 'node:zlib'
import type { LabApp } from './apps.js'
import { chance } from './chance.js'
import type { HostPlan, PlannedFile } from './file-plan.js'
import { type Entry, tarOf, zipOf } from './small-archives.js'
import type { Zone } from './zone.js'

export interface DumpContext {
  /** Seconds since 1970. */
  readonly now: number
  readonly zone: Zone
  readonly days: number
}

/** What the lab has instead of the application's database, on the host that makes the dumps. */
export const APP_DATA = '/var/lib/nightshift-lab/apps'

/** When a nightly dump started, oldest first: cron runs a skipped hour's jobs right after the jump. */
export function dumpTimes(app: LabApp, { now, zone, days }: DumpContext): number[] {
  const times: number[] = []
  for (let daysAgo = days; daysAgo >= 0; daysAgo--) {
    const day = zone.dayBefore(now, daysAgo)
    const at = zone.instantOf(day, app.hour, app.minute) ?? zone.instantOf(day, app.hour + 1, 0)
    if (at !== undefined && at <= now) times.push(Math.min(now, at + 1 + Math.floor(3 * chance('dump', app.target, at))))
  }
  return times
}

/** The dumps themselves, on the host that keeps them. */
export function planDumps(app: LabApp, context: DumpContext): Partial<HostPlan> {
  const folders = [{ path: app.folder, owner: app.owner }]
  const weeks = new Map<number, Uint8Array>()
  const files = dumpTimes(app, context).flatMap((start): PlannedFile[] => {
    const week = Math.floor((context.now - start) / (7 * 86_400))
    const content = weeks.get(week) ?? dumpContent(app, week / 52)
    weeks.set(week, content)
    const mtime = Math.min(context.now, start + 2 + Math.floor(9 * chance('took', app.target, start)))
    const stamp = context.zone.dumpStamp(start)
    if (app.format !== 'manifest') return [{ path: `${app.folder}/${app.prefix}${stamp}.${app.format}`, content, mtime, owner: app.owner }]
    const folder = `${app.folder}/${app.prefix}${stamp}`
    return [
      { path: `${folder}/workflows.json`, content, mtime, owner: app.owner },
      { path: `${folder}/manifest.txt`, content: `n8n workflow export ${stamp}\nworkflows.json ${content.length} bytes\n`, mtime, owner: app.owner },
    ]
  })
  return { folders, files, emptied: [app.folder] }
}

/** The program, what starts it, and the data it dumps, on the host that makes the dumps. */
export function planProducer(app: LabApp): Partial<HostPlan> {
  const data = `${APP_DATA}/${app.target}`
  const files: PlannedFile[] = [
    { path: `${data}.sql`, content: sqlText(app, 0) },
    { path: app.script, content: scriptText(app, `${data}.sql`), mode: 0o755, ...(app.owner === 'automation' ? { owner: 'automation' } : {}) },
  ]
  return { files }
}

function dumpContent(app: LabApp, yearsAgo: number): Uint8Array {
  const text = sqlText(app, yearsAgo)
  if (app.format === 'sql.gz') return gzipSync(text)
  if (app.format === 'manifest') return Buffer.from(text)
  const entries: Entry[] = [{ name: `${app.target}.sql`, content: text, mtime: 1_700_000_000 }]
  return app.format === 'zip' ? zipOf(entries) : gzipSync(tarOf(entries))
}

/** A plain-text dump with rows that do not compress to nothing. */
function sqlText(app: LabApp, yearsAgo: number): string {
  const [then, today] = app.rows
  const rows = Math.round(today - (today - then) * Math.min(1, yearsAgo))
  const parts = ['--', '-- PostgreSQL database dump', '--', '', "SET client_encoding = 'UTF8';", '']
  for (const table of app.tables) {
    parts.push(`COPY public.${table} (id, name, updated_at, payload) FROM stdin;`)
    let random = Math.floor(chance(app.target, table) * 2 ** 32)
    for (let id = 1; id <= rows; id++) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
      parts.push(
        `${id}\t${table}-${id}\t2026-0${1 + (id % 9)}-1${id % 10} 1${id % 10}:2${id % 6}:00\t${random.toString(36)}${Math.imul(random, 7919).toString(36)}`,
      )
    }
    parts.push('\\.', '')
  }
  parts.push('--', '-- PostgreSQL database dump complete', '--', '')
  return parts.join('\n')
}

/** What stands in crontabs for this dump; `/etc/cron.d` lines name the user. */
export function cronLine(app: LabApp): string {
  const user = app.start.kind === 'cron' && app.start.user !== '' ? `${app.start.user} ` : ''
  return `${app.minute} ${app.hour} * * * ${user}${[app.script, app.argument].filter(Boolean).join(' ')}\n`
}

function scriptText(app: LabApp, data: string): string {
  const pack = {
    'sql.gz': `gzip -n < ${data} > "$work/$name"`,
    'tar.gz': `tar -czf "$work/$name" -C ${APP_DATA} ${app.target}.sql`,
    zip: `cd ${APP_DATA} && python3 -m zipfile -c "$work/$name" ${app.target}.sql`,
    manifest: `mkdir "$work/$name" && cp ${data} "$work/$name/workflows.json" && printf 'n8n workflow export %s\\n' "$stamp" > "$work/$name/manifest.txt"`,
  }[app.format]
  const suffix = app.format === 'manifest' ? '' : `.${app.format}`
  const toNas = app.keeper !== app.producer
  const ship = toNas
    ? `rsync -t --no-perms --no-owner --no-group --chmod=F644 --partial-dir=.rsync-partial --timeout=60 \\\n  -e 'ssh -o BatchMode=yes -o StrictHostKeyChecking=yes' -- "$work/$name" "$target/"`
    : `mkdir -p "$target" && cp -a "$work/$name" "$target/.$name" && mv "$target/.$name" "$target/$name"`
  return `#!/bin/sh
# ${app.target}: dumps the application's database and ${toNas ? 'copies the dump to the NAS' : 'keeps the dump on this machine'}.
# Lab: ${data} stands for the database; everything after that is what a real machine does.
set -eu
target=\${1:-${app.argument || app.folder}}
stamp=$(date +%Y%m%d-%H%M%S)
name=${app.prefix}$stamp${suffix}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${pack}
${ship}
`
}
