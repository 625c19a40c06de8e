/** Runs the rendered script for real, with the machine's own `sh`, on a temporary host: its folders, and a Proxmox whose programs answer from files. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { HostProbePlan } from '../../../src/domain/observation.js'
import { renderProbeScript } from '../../../src/domain/probe/script.js'

export const NONCE = 'a1b2c3d4e5f60718293a4b5c6d7e8f901122'

export interface TemporaryHost {
  readonly root: string
  /** Writes a file below the root; `ageSeconds` before now. */
  write(path: string, content: string, ageSeconds?: number): void
  /** A program on this host's PATH, as shell text. */
  program(name: string, text: string): void
  run(plan: HostProbePlan, shell?: string): { stdout: string; stderr: string; status: number | null }
  remove(): void
}

export function temporaryHost(): TemporaryHost {
  const root = mkdtempSync(join(tmpdir(), 'nightshift-probe-'))
  mkdirSync(join(root, 'bin'))
  return {
    root,
    write(path, content, ageSeconds = 0) {
      const full = join(root, path)
      mkdirSync(dirname(full), { recursive: true })
      writeFileSync(full, content)
      const at = Math.floor(Date.now() / 1000) - ageSeconds
      utimesSync(full, at, at)
    },
    program(name, text) {
      writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${text}\n`)
      chmodSync(join(root, 'bin', name), 0o755)
    },
    run(plan, shell = 'sh') {
      // the script names Proxmox' files by absolute paths; here they lie below the temporary root
      const script = renderProbeScript(plan, NONCE).replaceAll(
        /(?<=[\s"'(<]|^)\/(?=etc\/pve|etc\/cron|var\/log\/pve|var\/lib\/pve-manager|var\/spool\/cron)/gm,
        `${root}/`,
      )
      const result = spawnSync(shell, ['-s'], {
        input: script,
        encoding: 'utf8',
        env: { PATH: `${join(root, 'bin')}:${process.env.PATH}`, HOME: root },
        maxBuffer: 64 * 1024 * 1024,
      })
      return { stdout: result.stdout.replaceAll(`${root}/etc/pve`, '/etc/pve'), stderr: result.stderr, status: result.status }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

export const planFor = (host: TemporaryHost, more: Partial<HostProbePlan> = {}): HostProbePlan => ({
  host: 'h',
  site: 's',
  kind: 'linux',
  sshAlias: 'h',
  sudo: false,
  deadlineMs: 60_000,
  directories: [],
  producers: [],
  proxmox: null,
  ...more,
  ...(more.directories ? { directories: more.directories.map((entry) => ({ ...entry, basePath: join(host.root, entry.basePath) })) } : {}),
})

interface Recording {
  readonly sequences: readonly { readonly steps: readonly { readonly argv: readonly string[]; readonly stdout: string }[] }[]
}

/** What the real program printed for these arguments (test/fixtures/pve, recorded from pve-manager 9.2.11). */
export function recorded(file: 'pve-cli.json' | 'pve-cli-2.json', argv: readonly string[]): string {
  const recording = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/pve', file), 'utf8')) as Recording
  const wanted = argv.join(' ')
  for (const { steps } of recording.sequences) for (const step of steps) if (step.argv.join(' ') === wanted) return step.stdout
  throw new Error(`${file} has no recording of ${wanted}`)
}
