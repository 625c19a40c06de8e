/** Makes an estate's namespace ready: there, kept long enough, with our search attributes, and usable. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Connection, isGrpcServiceError } from '@temporalio/client'
import proto, { type temporal as api } from '@temporalio/proto'
import { ConfigError } from '../domain/config-error.js'
import { namespaceOf, SEARCH_ATTRIBUTES } from '../domain/ids.js'

// A CommonJS module: Node finds not all of its names in an import list.
const { google, temporal } = proto

/** Histories must outlive the longest "why did this happen?"; the dev server's own default is 24 hours. */
export const RETENTION_DAYS = 90
const RETENTION_SECONDS = RETENTION_DAYS * 24 * 3_600
/** Clusters cache namespaces and search attributes for up to a minute. */
const USABLE_TIMEOUT_MS = 90_000
/** The key in the namespace's data that says whose it is. */
const ESTATE_KEY = 'nightshift_estate'

/** gRPC status codes (grpc/grpc `status_code_enum.h`). */
const GRPC = { invalidArgument: 3, notFound: 5, alreadyExists: 6, permissionDenied: 7, unimplemented: 12, unavailable: 14, unauthenticated: 16 } as const

const KEYWORD = temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
const RETENTION = google.protobuf.Duration.fromObject({ seconds: RETENTION_SECONDS })

/**
 * Idempotent; run at each start.
 * @throws ConfigError when the server does not let us, or the namespace is another estate's
 */
export async function prepareNamespace(connection: Connection, estateId: string): Promise<void> {
  const namespace = namespaceOf(estateId)
  try {
    await ensureNamespace(connection, namespace, estateId)
    await ensureSearchAttributes(connection, namespace)
    await awaitUsable(connection, namespace)
  } catch (error) {
    if (!isGrpcServiceError(error)) throw error
    throw new ConfigError(
      `Temporal namespace ${namespace} cannot be made ready: ${error.details || error.message}`,
      [
        'let somebody with the right make it:',
        `temporal operator namespace create --namespace ${namespace} --retention ${RETENTION_DAYS}d`,
        ...SEARCH_ATTRIBUTES.map((name) => `temporal operator search-attribute create --namespace ${namespace} --name ${name} --type Keyword`),
      ].join('\n'),
      { cause: error },
    )
  }
}

async function ensureNamespace(connection: Connection, namespace: string, estateId: string): Promise<void> {
  const existing = await describeNamespace(connection, namespace)
  if (existing === undefined) {
    await tolerate(GRPC.alreadyExists, async () => {
      await connection.workflowService.registerNamespace({
        namespace,
        description: `Backup runbooks of estate ${estateId} (nightshift)`,
        workflowExecutionRetentionPeriod: RETENTION,
        data: { [ESTATE_KEY]: estateId },
      })
    })
    return
  }
  const owner = existing.namespaceInfo?.data?.[ESTATE_KEY]
  if (owner !== undefined && owner !== estateId) {
    throw new ConfigError(`namespace ${namespace} belongs to estate ${owner}, not to ${estateId}`, 'use the Temporal server of this estate')
  }
  const retention = existing.config?.workflowExecutionRetentionTtl
  if (Number(retention?.seconds ?? 0) < RETENTION_SECONDS) {
    await connection.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: RETENTION } })
  }
}

async function describeNamespace(connection: Connection, namespace: string): Promise<api.api.workflowservice.v1.IDescribeNamespaceResponse | undefined> {
  try {
    return await connection.workflowService.describeNamespace({ namespace })
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === GRPC.notFound) return undefined
    throw error
  }
}

async function ensureSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await retryWhileUnknown(async () => await connection.operatorService.listSearchAttributes({ namespace }))
  const wrong = SEARCH_ATTRIBUTES.filter((name) => customAttributes?.[name] !== undefined && customAttributes[name] !== KEYWORD)
  if (wrong.length > 0) {
    throw new ConfigError(
      `search attribute ${wrong.join(', ')} of namespace ${namespace} is not a Keyword`,
      wrong.map((name) => `temporal operator search-attribute remove --namespace ${namespace} --name ${name}`).join('\n'),
    )
  }
  const missing = SEARCH_ATTRIBUTES.filter((name) => customAttributes?.[name] === undefined)
  if (missing.length === 0) return
  await tolerate(GRPC.alreadyExists, async () => {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])) })
  })
}

/** A query over all four attributes is refused until every cache on its way knows them. */
async function awaitUsable(connection: Connection, namespace: string): Promise<void> {
  const query = SEARCH_ATTRIBUTES.map((name) => `${name} = "none"`).join(' AND ')
  await retryWhileUnknown(async () => await connection.workflowService.countWorkflowExecutions({ namespace, query }))
}

/** Repeats a call while the answer is "I do not know that (yet)". */
async function retryWhileUnknown<T>(call: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + USABLE_TIMEOUT_MS
  for (;;) {
    try {
      return await call()
    } catch (error) {
      const notYet = isGrpcServiceError(error) && [GRPC.notFound, GRPC.invalidArgument, GRPC.unavailable].some((code) => code === error.code)
      if (!notYet || Date.now() > deadline) throw error
      await delay(200)
    }
  }
}

/** Runs a call whose one expected refusal means that somebody else was quicker. */
async function tolerate(code: number, call: () => Promise<void>): Promise<void> {
  try {
    await call()
  } catch (error) {
    if (!isGrpcServiceError(error) || error.code !== code) throw error
  }
}
