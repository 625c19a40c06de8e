/** The doctor on the state folder, the receipts and the key that signs them. Changes nothing. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { RunbookSet } from '../../domain/estate.js'
import { duration, size } from '../../domain/render/quantities.js'
import { asOf } from '../../domain/render/staleness.js'
import { readEstateMark } from '../../state/folder.js'
import { readStatusFile, readTrustedKeys, STATE_NAMES, stateDirectory, verifyChain } from '../../state/index.js'
import { checkSignature, signMessage } from '../../state/receipts/ssh-signature.js'
import { type Check, fail, failedWith, ok, unknown, warn } from './check.js'

const LITTLE_SPACE_BYTES = 1_000_000_000
const NO_SPACE_BYTES = 50_000_000

/** The state folder: whose it is, whether it can be written, how much room there is, how old the last pass is. */
export function checkState(set: RunbookSet, now: Date): Check[] {
  const dir = stateDirectory(set.estate.id)
  const there = nearestExisting(dir)
  const checks: Check[] = []
  try {
    accessSync(there, constants.W_OK | constants.X_OK)
    const mark = existsSync(dir) ? readEstateMark(dir) : undefined
    if (mark !== undefined && mark !== set.estate.id) {
      return [
        fail(
          'state',
          'folder',
          `${dir} belongs to estate "${mark}", not to "${set.estate.id}"`,
          'unset NIGHTSHIFT_STATE, or set it to the folder of this estate',
        ),
      ]
    }
    checks.push(ok('state', 'folder', there === dir ? dir : `${dir} (made at the first start)`))
  } catch (error) {
    return [failedWith('state', 'folder', error, `let this user write ${there}, or name another folder with NIGHTSHIFT_STATE`)]
  }
  checks.push(checkSpace(there), checkLastPass(dir, set, now))
  return checks
}

function checkSpace(path: string): Check {
  const { bavail, bsize } = statfsSync(path)
  const free = bavail * bsize
  const message = `${size(free)} free on the file system of ${path}`
  if (free < NO_SPACE_BYTES) return fail('state', 'free space', message, 'free some space: passes and receipts cannot be written')
  return free < LITTLE_SPACE_BYTES ? warn('state', 'free space', message, 'free some space before it is full') : ok('state', 'free space', message)
}

function checkLastPass(dir: string, set: RunbookSet, now: Date): Check {
  try {
    const status = readStatusFile(dir)
    if (status === undefined) return unknown('state', 'last pass', 'no pass has been published yet', 'start the monitor: nightshift up')
    const ageSeconds = (now.getTime() - Date.parse(status.takenAt)) / 1000
    if (asOf(status, now).stale) {
      return fail(
        'state',
        'last pass',
        `taken ${duration(ageSeconds)} ago, and one is due every ${duration(status.periodSeconds)}: the monitor does not run`,
        'start it: nightshift up',
      )
    }
    if (status.rulesDigest !== set.digest)
      return warn(
        'state',
        'last pass',
        'taken with other runbook files than those that are there now',
        'wait for the next pass, or look at its findings: nightshift status',
      )
    return ok('state', 'last pass', `${duration(Math.max(0, ageSeconds))} ago, verdict ${status.verdict} (nightshift status shows it)`)
  } catch (error) {
    return failedWith('state', 'last pass', error, 'start the monitor: nightshift up')
  }
}

/** The signing key can really sign, the mirror lies outside of the state folder, and the chain holds. */
export async function checkReceipts(set: RunbookSet): Promise<Check[]> {
  const { signingKeyPath, headMirrorPath } = set.estate.receipts
  const dir = stateDirectory(set.estate.id)
  const checks = [await checkSigningKey(signingKeyPath)]
  const inside = relative(dir, headMirrorPath)
  if (!inside.startsWith('..')) {
    checks.push(
      warn(
        'receipts',
        'head mirror',
        `${headMirrorPath} lies inside of the state folder and is lost with it`,
        'set receipts.head_mirror in estate.yaml to another disk or a synchronised folder',
      ),
    )
  }
  try {
    accessSync(nearestExisting(dirname(headMirrorPath)), constants.W_OK | constants.X_OK)
  } catch (error) {
    checks.push(failedWith('receipts', 'head mirror', error, `let this user write ${dirname(headMirrorPath)}`))
  }
  if (checks[0]?.result !== 'ok') return checks
  const verdict = verifyChain({
    dir: join(dir, STATE_NAMES.receipts),
    estate: set.estate.id,
    trusted: readTrustedKeys(signingKeyPath),
    mirrorPath: headMirrorPath,
  })
  if (verdict.problem === null) checks.push(ok('receipts', 'chain', `${verdict.count} receipts hold together, head ${verdict.head?.number}`))
  else {
    const isBad = verdict.problem.kind === 'broken' || verdict.problem.kind === 'not_ours' || verdict.problem.kind === 'ends_before_head'
    checks.push((isBad ? fail : unknown)('receipts', 'chain', verdict.problem.message, verdict.problem.next))
  }
  return checks
}

async function checkSigningKey(path: string): Promise<Check> {
  try {
    const mode = statSync(path).mode & 0o077
    if (mode !== 0) return fail('secrets', 'receipt key', `${path} can be read by others`, `chmod 600 ${path}`)
    const probe = 'nightshift doctor'
    const verdict = checkSignature(probe, await signMessage(probe, path), readTrustedKeys(path))
    return verdict.ok
      ? ok('secrets', 'receipt key', `${path} signs, and its public half verifies`)
      : fail('secrets', 'receipt key', `${path} and ${path}.pub: ${verdict.why}`, `ssh-keygen -y -f ${path} > ${path}.pub`)
  } catch (error) {
    return failedWith(
      'secrets',
      'receipt key',
      error,
      `make one: mkdir -p -m 700 ${dirname(path)} && ssh-keygen -t ed25519 -N '' -C nightshift-receipts -f ${path}`,
    )
  }
}

function nearestExisting(path: string): string {
  let at = path
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at)
  return at
}
