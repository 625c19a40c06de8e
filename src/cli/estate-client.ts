/** The client of an estate's Temporal for short commands: the cluster that the environment names, else the running `nightshift up`. */
import { ConfigError } from '../domain/config-error.js'
import { stateDirectory } from '../state/location.js'
import { connectClient, existingCluster, type TemporalClient, targetOfAddress } from '../temporal/connection.js'
import { findRunningUp } from './running-up.js'

/** @throws ConfigError when neither is there or it does not answer */
export async function connectEstate(estateId: string): Promise<TemporalClient> {
  const existing = existingCluster(estateId)
  if (existing !== undefined) return connectClient(existing)
  const up = findRunningUp(stateDirectory(estateId))
  if (up === undefined) {
    throw new ConfigError(
      `nightshift is not running for estate ${estateId}, and the environment names no Temporal server`,
      'start it: nightshift up --config DIR',
    )
  }
  return connectClient(targetOfAddress(up.address, estateId))
}
