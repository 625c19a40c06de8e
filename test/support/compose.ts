/** The parsed production layout: `docker-compose.temporal.yml` as a real Compose parser understands it. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { packageRoot } from '../../src/temporal/package-root.js'

export interface ComposeService {
  readonly image?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly ports?: readonly (string | { readonly host_ip?: string; readonly published: string | number; readonly target: number })[]
  readonly volumes?: readonly (string | { readonly type: string; readonly source?: string; readonly target: string })[]
  readonly command?: string | readonly string[]
  readonly restart?: string
  readonly stop_grace_period?: string
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

/** Debian's `docker-compose` or the `docker compose` plugin; neither needs an engine for `config`. */
function parserCommand(): [string, ...string[]] {
  for (const command of [['docker-compose'], ['docker', 'compose']] as [string, ...string[]][]) {
    if (spawnSync(command[0], [...command.slice(1), 'version'], { encoding: 'utf8' }).status === 0) return command
  }
  throw new Error('no Compose parser is installed; npm test installs one, or: apt-get install --no-install-recommends docker-compose')
}

/**
 * Parses the file in a copy of its own with a fresh `database.env`.
 * @param change edits the text before it is parsed, to see that the parser refuses what it should
 * @returns the parsed file, and the password that `make-database-env.sh` made
 */
export function parseCompose(change: (text: string) => string = (text) => text): {
  readonly file: ComposeFile
  readonly password: string
  readonly source: string
} {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-compose-'))
  try {
    cpSync(join(packageRoot(), 'deploy'), join(folder, 'deploy'), {
      recursive: true,
      filter: (path) => !path.includes('database.env.') && !path.endsWith('database.env'),
    })
    const made = spawnSync('sh', [join(folder, 'deploy/temporal/make-database-env.sh')], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(made.stderr)
    const password = /^POSTGRES_PWD=(.+)$/m.exec(readFileSync(join(folder, 'deploy/temporal/database.env'), 'utf8'))?.[1] ?? ''
    const source = readFileSync(join(packageRoot(), 'docker-compose.temporal.yml'), 'utf8')
    const [program, ...args] = parserCommand()
    const run = spawnSync(program, [...args, '--project-directory', folder, '-f', '-', 'config'], {
      input: change(source),
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, NIGHTSHIFT_ESTATE: 'prod', NIGHTSHIFT_CONFIG: '/etc/nightshift' },
    })
    if (run.status !== 0) throw new Error(`the Compose parser refuses the file: ${run.stderr}`)
    return { file: parse(run.stdout) as ComposeFile, password, source }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
