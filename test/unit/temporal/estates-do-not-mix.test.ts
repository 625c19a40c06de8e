/** Which Temporal an estate uses, by the CLI's own environment configuration, and that no estate gets into another's namespace. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/domain/config-error.js'
import { estateOfNamespace, namespaceOf, queueNames, stateQueueOf, taskQueueOf } from '../../../src/domain/ids.js'
import { connectClient, existingCluster, requireOwnNamespace } from '../../../src/temporal/connection.js'
import { anyFreePort } from '../../../src/temporal/ports.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightshift-envconfig-'))
})
afterAll(async () => await rm(folder, { recursive: true, force: true }))

function refusal(attempt: () => unknown): ConfigError {
  try {
    attempt()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('this was not refused')
}

describe('an existing cluster', () => {
  it('is not assumed when the environment names none', () => {
    expect(existingCluster('home', { HOME: folder })).toBeUndefined()
  })

  it('is the one of TEMPORAL_ADDRESS, in this estate’s namespace', () => {
    expect(existingCluster('home', { TEMPORAL_ADDRESS: 'temporal.example:7233', HOME: folder })).toEqual({
      connectionOptions: { address: 'temporal.example:7233' },
      namespace: 'nightshift-home',
    })
  })

  it('is reached with an API key, which turns TLS on', () => {
    const target = existingCluster('home', { TEMPORAL_ADDRESS: 'temporal.example:7233', TEMPORAL_API_KEY: 'the-key', HOME: folder })
    expect(target?.connectionOptions).toMatchObject({ apiKey: 'the-key', tls: true })
  })

  it('is reached with the certificates of a profile file', async () => {
    const [ca, cert, key, file] = ['ca.pem', 'client.pem', 'client.key', 'temporal.toml'].map((name) => join(folder, name)) as [string, string, string, string]
    for (const path of [ca, cert, key]) await writeFile(path, `content of ${path}`)
    await writeFile(
      file,
      `[profile.prod]\naddress = "prod.example:7233"\nnamespace = "nightshift-home"\n[profile.prod.tls]\nserver_ca_cert_path = "${ca}"\nclient_cert_path = "${cert}"\nclient_key_path = "${key}"\nserver_name = "temporal.internal"\n`,
    )
    const target = existingCluster('home', { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'prod' })
    expect(target?.connectionOptions.address).toBe('prod.example:7233')
    expect(target?.connectionOptions.tls).toMatchObject({ serverNameOverride: 'temporal.internal' })
    const tls = target?.connectionOptions.tls as { clientCertPair: { crt: Uint8Array } }
    expect(Buffer.from(tls.clientCertPair.crt).toString()).toBe(`content of ${cert}`)
    expect(refusal(() => existingCluster('shop', { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'prod' })).message).toMatch(
      /the Temporal profile says namespace nightshift-home/,
    )
  })

  it.each([
    ['a profile file that is not there', { TEMPORAL_CONFIG_FILE: '/nowhere/temporal.toml', TEMPORAL_PROFILE: 'x' }],
    [
      'a certificate that is not there',
      { TEMPORAL_ADDRESS: 'a:7233', TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere/c.pem', TEMPORAL_TLS_CLIENT_KEY_PATH: '/nowhere/c.key' },
    ],
  ])('%s is wrong configuration, exit code 78', (_name, env) => {
    const refused = refusal(() => existingCluster('home', env))
    expect(refused.exitCode).toBe(78)
    expect(refused.message).toMatch(/Temporal configuration cannot be read/)
  })

  it('that does not answer is said with its address', async () => {
    const port = await anyFreePort()
    const error = await connectClient({ connectionOptions: { address: `127.0.0.1:${port}` }, namespace: 'nightshift-home' }, 1_000).catch(
      (caught: unknown) => caught,
    )
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).message).toContain(`no Temporal server answers at 127.0.0.1:${port}`)
  })
})

describe('the namespace', () => {
  it.each(['default', 'nightshift-shop', 'nightshift-home-2', 'Nightshift-home'])('%s is refused for estate home, with 78 and the right name', (namespace) => {
    for (const env of [{ TEMPORAL_NAMESPACE: namespace }, { TEMPORAL_NAMESPACE: namespace, TEMPORAL_ADDRESS: 'a:7233' }]) {
      const refused = refusal(() => existingCluster('home', env))
      expect(refused.exitCode).toBe(78)
      expect(refused.message).toContain(`namespace ${namespace}`)
      expect(refused.next).toContain('TEMPORAL_NAMESPACE=nightshift-home')
    }
  })

  it('of another estate is named as such', () => {
    expect(refusal(() => requireOwnNamespace('nightshift-shop', 'home', 'TEMPORAL_NAMESPACE')).message).toContain('belongs to estate shop')
    expect(() => requireOwnNamespace('nightshift-home', 'home', 'TEMPORAL_NAMESPACE')).not.toThrow()
  })
})

describe('names', () => {
  it('of queues follow from the estate, and the workflow’s own queue leads to the state queue', () => {
    expect(queueNames(taskQueueOf('home'))).toEqual({ common: 'nightshift-home', state: stateQueueOf('home') })
    // A replay runs on a queue of its own and must not throw.
    expect(queueNames('replay').state).toBe('replay-state')
  })
  it('of namespaces lead back to the estate, and only ours do', () => {
    expect(estateOfNamespace(namespaceOf('a-b'))).toBe('a-b')
    for (const foreign of ['default', 'nightshift-', 'nightshift-A', 'xnightshift-a']) expect(estateOfNamespace(foreign)).toBeUndefined()
  })
})
