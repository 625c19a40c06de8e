/**
 * Which Temporal server an estate uses, and the connection to it.
 * An existing cluster is named by the CLI's own environment configuration (address, namespace, TLS, API key, profile file).
 */
import { Client, Connection, type ConnectionOptions } from '@temporalio/client'
import { loadClientConnectConfig } from '@temporalio/envconfig'
import { ConfigError } from '../domain/config-error.js'
import { estateOfNamespace, namespaceOf } from '../domain/ids.js'

/** Everything that client and worker need to reach an estate's Temporal. The options may hold an API key: never print them. */
export interface TemporalTarget {
  readonly connectionOptions: Pick<ConnectionOptions, 'address' | 'tls' | 'metadata'> & { readonly apiKey?: string }
  readonly namespace: string
}

/** The target that is our own dev server. */
export function targetOfAddress(address: string, estateId: string): TemporalTarget {
  return { connectionOptions: { address }, namespace: namespaceOf(estateId) }
}

/**
 * The existing cluster that the environment names: by `TEMPORAL_ADDRESS`, or by a profile (`TEMPORAL_PROFILE`, `TEMPORAL_CONFIG_FILE`).
 * A default profile file alone does not count: it may be there for other work.
 * @returns undefined when the environment names none
 * @throws ConfigError when the configuration cannot be read, or names the namespace of another estate
 */
export function existingCluster(estateId: string, env: NodeJS.ProcessEnv = process.env): TemporalTarget | undefined {
  const named = [env.TEMPORAL_ADDRESS, env.TEMPORAL_PROFILE, env.TEMPORAL_CONFIG_FILE].some((value) => value !== undefined && value !== '')
  if (!named) {
    if (env.TEMPORAL_NAMESPACE) requireOwnNamespace(env.TEMPORAL_NAMESPACE, estateId, 'TEMPORAL_NAMESPACE')
    return undefined
  }
  const config = readConfig(env)
  if (config.namespace) requireOwnNamespace(config.namespace, estateId, env.TEMPORAL_NAMESPACE ? 'TEMPORAL_NAMESPACE' : 'the Temporal profile')
  const { address, tls, apiKey, metadata } = config.connectionOptions
  return {
    connectionOptions: {
      address: address ?? '127.0.0.1:7233',
      ...(tls !== undefined && { tls }),
      ...(typeof apiKey === 'string' && { apiKey }),
      ...(metadata !== undefined && { metadata }),
    },
    namespace: namespaceOf(estateId),
  }
}

function readConfig(env: NodeJS.ProcessEnv): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig({ overrideEnvVars: definedOf(env), configFileStrict: true })
  } catch (error) {
    throw new ConfigError(
      `the Temporal configuration cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'check TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE and the TEMPORAL_TLS_… paths',
      { cause: error },
    )
  }
}

function definedOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/**
 * Estates do not mix: a worker serves the namespace of its own estate and no other.
 * @throws ConfigError
 */
export function requireOwnNamespace(namespace: string, estateId: string, where: string): void {
  const own = namespaceOf(estateId)
  if (namespace === own) return
  const other = estateOfNamespace(namespace)
  const whose = other === undefined ? 'which is not this estate’s' : `which belongs to estate ${other}`
  throw new ConfigError(`${where} says namespace ${namespace}, ${whose}; estate ${estateId} uses ${own}`, `unset it, or set TEMPORAL_NAMESPACE=${own}`)
}

export interface TemporalClient {
  readonly connection: Connection
  readonly client: Client
  close(): Promise<void>
}

/**
 * Connects a client. The namespace need not exist yet.
 * @throws ConfigError when nothing answers there, or it refuses us
 */
export async function connectClient(target: TemporalTarget, connectTimeoutMs = 10_000): Promise<TemporalClient> {
  const { address } = target.connectionOptions
  try {
    const connection = await Connection.connect({ ...target.connectionOptions, connectTimeout: connectTimeoutMs })
    const client = new Client({ connection, namespace: target.namespace })
    return { connection, client, close: async () => await connection.close() }
  } catch (error) {
    throw new ConfigError(
      `no Temporal server answers at ${address ?? 'the default address'}: ${rootMessage(error)}`,
      'check the address, TLS and API key: temporal operator cluster health',
      { cause: error },
    )
  }
}

function rootMessage(error: unknown): string {
  let current: unknown = error
  while (current instanceof Error && current.cause instanceof Error) current = current.cause
  return current instanceof Error ? (current.message.split('\n')[0] ?? '') : String(current)
}
