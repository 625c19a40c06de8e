/** The production layout, as a real Compose parser reads it. What was not started stands in docs/unproven.md. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/temporal/package-root.js'
import { type ComposeFile, type ComposeService, parseCompose } from '../../support/compose.js'

const root = packageRoot()
const ONE_SHOT = ['temporal-schema', 'temporal-namespace']

let file: ComposeFile
let password: string
let source: string

beforeAll(() => {
  ;({ file, password, source } = parseCompose())
})

function service(name: string): ComposeService {
  const found = file.services[name]
  if (found === undefined) throw new Error(`no service ${name}`)
  return found
}

function conditions(name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(service(name).depends_on ?? {}).map(([other, { condition }]) => [other, condition]))
}

/** `{host_ip, published, target}` whichever way the parser prints a port. */
function ports(name: string): string[] {
  return (service(name).ports ?? []).map((port) =>
    typeof port === 'string' ? port.replace(/\/tcp$/, '') : `${port.host_ip ?? '0.0.0.0'}:${port.published}:${port.target}`,
  )
}

describe('docker-compose.temporal.yml', () => {
  it('has PostgreSQL, schema job, server, namespace job, web interface and worker', () => {
    expect(Object.keys(file.services).sort()).toEqual(['nightshift', 'postgresql', 'temporal', 'temporal-namespace', 'temporal-schema', 'temporal-ui'])
  })

  it('pins every image to a full version', () => {
    for (const [name, { image }] of Object.entries(file.services)) expect(`${name} ${image}`).toMatch(/:\d+\.\d+(\.\d+)?(-[a-z]+)?$/)
  })

  it('has the server and its tools in one version, the one of the embedded server', () => {
    const serverVersion = /TEMPORAL_SERVER_VERSION = '(.+)'/.exec(readFileSync(join(root, 'src/temporal/server-version.ts'), 'utf8'))?.[1]
    expect(service('temporal').image).toBe(`temporalio/server:${serverVersion}`)
    for (const name of ONE_SHOT) expect(service(name).image).toBe(`temporalio/admin-tools:${serverVersion}`)
  })

  it('checks the health of everything that stays up, and restarts it', () => {
    for (const [name, { healthcheck, restart }] of Object.entries(file.services)) {
      if (ONE_SHOT.includes(name)) continue
      expect(healthcheck?.test.length, name).toBeGreaterThan(1)
      expect(restart, name).toBe('unless-stopped')
    }
  })

  it('starts in order: database, schema, server, namespace, worker', () => {
    expect(conditions('temporal-schema')).toEqual({ postgresql: 'service_healthy' })
    expect(conditions('temporal')).toEqual({ postgresql: 'service_healthy', 'temporal-schema': 'service_completed_successfully' })
    expect(conditions('temporal-namespace')).toEqual({ temporal: 'service_healthy' })
    expect(conditions('temporal-ui')).toEqual({ temporal: 'service_healthy' })
    expect(conditions('nightshift')).toEqual({ temporal: 'service_healthy', 'temporal-namespace': 'service_completed_successfully' })
  })

  it('publishes the server and the web interface on loopback only, and the database not at all', () => {
    expect(ports('temporal')).toEqual(['127.0.0.1:7233:7233'])
    expect(ports('temporal-ui')).toEqual(['127.0.0.1:8080:8080'])
    for (const name of ['postgresql', 'nightshift', ...ONE_SHOT]) expect(ports(name)).toEqual([])
  })

  it('keeps the database and the state in named volumes', () => {
    expect(
      Object.keys(file.volumes)
        .map((name) => name.replace(/^.*_/, ''))
        .sort(),
    ).toEqual(['database', 'state'])
    expect(source).toMatch(/- database:\/var\/lib\/postgresql\/data/)
  })

  it('holds no secret: the password comes from database.env, which is not in git and readable by its owner only', () => {
    expect(source).not.toMatch(/(password|pwd|secret|key)\w*["']?\s*[:=]\s*\S/i)
    expect(service('postgresql').environment?.POSTGRES_PASSWORD).toBe(password)
    expect(service('temporal').environment?.POSTGRES_PWD).toBe(password)
    expect(service('temporal-schema').environment?.SQL_PASSWORD).toBe(password)
    expect(password).toMatch(/^[0-9a-f]{48}$/)
    for (const name of ['temporal-ui', 'temporal-namespace', 'nightshift']) expect(JSON.stringify(service(name))).not.toContain(password)
    const ignored = spawnSync('git', ['check-ignore', '--no-index', 'deploy/temporal/database.env'], { cwd: root })
    expect(ignored.status).toBe(0)
  })

  it('mounts only files that are in the repository, the dynamic configuration among them', () => {
    const mounted = [...source.matchAll(/- (\.\/deploy\/\S+?):(\/\S+):ro/g)].map(([, path, target]) => ({ path: path ?? '', target }))
    expect(mounted).toHaveLength(3)
    for (const { path } of mounted) expect(existsSync(join(root, path)), path).toBe(true)
    expect(mounted.map(({ target }) => target)).toContain(service('temporal').environment?.DYNAMIC_CONFIG_FILE_PATH)
  })

  it('runs the worker for one estate, in UTC, with more time to stop than its activities get', () => {
    const { environment, stop_grace_period: grace } = service('nightshift')
    expect(environment).toMatchObject({ TEMPORAL_NAMESPACE: 'nightshift-prod', TEMPORAL_ADDRESS: 'temporal:7233', TZ: 'UTC' })
    const workerGrace = Number(/SHUTDOWN_GRACE_SECONDS = (\d+)/.exec(readFileSync(join(root, 'src/worker.ts'), 'utf8'))?.[1])
    expect(workerGrace).toBeGreaterThan(0)
    const [, minutes, seconds] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(grace ?? '') ?? []
    expect(Number(minutes ?? 0) * 60 + Number(seconds ?? 0)).toBeGreaterThan(workerGrace)
  })

  it('refuses to come up without the estate’s id', () => {
    expect(() => parseCompose((text) => text.replaceAll('NIGHTSHIFT_ESTATE:?', 'NIGHTSHIFT_NO_SUCH:?'))).toThrow(
      /NIGHTSHIFT_NO_SUCH|the id that estate.yaml gives/,
    )
  })

  it('is read by a parser that refuses what is wrong', () => {
    expect(() => parseCompose((text) => text.replace('restart: unless-stopped', 'restrat: unless-stopped'))).toThrow(/restrat/)
  })
})

describe('the scripts of deploy/temporal', () => {
  it.each(['schema.sh', 'namespace.sh', 'make-database-env.sh'])('%s is a POSIX script', (name) => {
    const path = join(root, 'deploy/temporal', name)
    expect(spawnSync('dash', ['-n', path]).status).toBe(0)
    expect(statSync(path).mode & 0o111).not.toBe(0)
  })
})

describe('the worker’s image', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
  it('is Debian with a pinned Node, and does not run as root', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)
    expect(new Set(bases).size).toBe(1)
    expect(bases[0]).toMatch(/^node:20\.\d+\.\d+-bookworm-slim$/)
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile.indexOf('USER node')).toBeLessThan(dockerfile.indexOf('ENTRYPOINT'))
  })
  it('copies only what the context lets in, and what is there', () => {
    const allowed = readFileSync(join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) => (sources ?? '').split(' '))
    expect(copied.filter((path) => !allowed.includes(path))).toEqual([])
    for (const path of allowed) expect(existsSync(join(root, path)), path).toBe(true)
  })
})
