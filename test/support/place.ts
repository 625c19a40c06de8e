/** A configuration and a state folder of a test's own, made from the shared lab's: what one test breaks, no other test meets. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection, type WorkflowHandle } from '@temporalio/client'
import { type Document, parseDocument } from 'yaml'
import type { Lab } from '../../lab/lab.js'
import type { StatusDocument } from '../../src/domain/status.js'
import type { PlanView } from '../../src/workflows/approval.js'
import { nightshift, type Place, type RunningUp, startUp } from './nightshift.js'
import { eventually } from './polling.js'

export interface TestPlace extends Place {
  /** Edits a YAML file of the configuration folder, keeping its comments. */
  edit(file: string, change: (document: Document) => void): Promise<void>
  read(file: string): Promise<string>
  write(file: string, text: string): Promise<void>
  remove(): Promise<void>
}

/** Copies the lab's configuration folder. @param state a state folder to use instead of an empty one */
export async function makePlace(labConfig: string, state?: string): Promise<TestPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'nightshift-place-'))
  const config = join(folder, 'config')
  await cp(labConfig, config, { recursive: true })
  const path = (file: string) => join(config, file)
  return {
    config,
    state: state ?? join(folder, 'state'),
    async edit(file, change) {
      const document = parseDocument(await readFile(path(file), 'utf8'))
      change(document)
      await writeFile(path(file), document.toString({ lineWidth: 0 }))
    },
    read: (file) => readFile(path(file), 'utf8'),
    write: (file, text) => writeFile(path(file), text),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The status as `nightshift status --json` prints it, and its exit code. */
export async function statusOf(place: Place): Promise<{ status: StatusDocument; exitCode: number | undefined }> {
  const run = await nightshift(place, ['status', '--json'])
  return { status: JSON.parse(run.stdout) as StatusDocument, exitCode: run.exitCode }
}

/** One pass by the command line; fails the test when it does not end well. */
export async function onePass(place: Place): Promise<StatusDocument> {
  const run = await nightshift(place, ['run', 'backupMonitor', '--json'])
  if (run.exitCode !== 0) throw new Error(`nightshift run backupMonitor: exit ${run.exitCode}\n${run.stdout}\n${run.stderr}`)
  return (await statusOf(place)).status
}

/** A client of the embedded server of a running `up`. */
export async function clientOf(up: RunningUp, estateId: string): Promise<{ client: Client; close: () => Promise<void> }> {
  const connection = await Connection.connect({ address: `127.0.0.1:${up.temporalPort}` })
  return { client: new Client({ connection, namespace: `nightshift-${estateId}` }), close: () => connection.close() }
}

export interface RunningPlace {
  readonly place: TestPlace
  readonly up: RunningUp
  readonly client: Client
  stop(): Promise<void>
}

/** A place of a lab, `nightshift up` on it, and a client of its server. */
export async function startPlace(lab: Pick<Lab, 'name' | 'paths'>): Promise<RunningPlace> {
  const place = await makePlace(lab.paths.config)
  const up = await startUp(place)
  const { client, close } = await clientOf(up, lab.name)
  const stop = async () => {
    await close()
    await up.stop()
    await place.remove()
  }
  return { place, up, client, stop }
}

/** The plan that a run asks about, once it is another one than `notDigest`. */
export async function waitingPlan(handle: WorkflowHandle, notDigest?: string): Promise<PlanView & { digest: string }> {
  let view: PlanView | undefined
  await eventually('the plan waits for an answer', async () => {
    view = await handle.query<PlanView>('plan')
    return view.state === 'waiting for approval' && view.plans[0]?.digest !== notDigest
  })
  return { ...(view as PlanView), digest: view?.plans[0]?.digest ?? '' }
}

/** Ronny's answer to a plan. */
export const answer = (handle: WorkflowHandle, decision: 'approve' | 'reject', digest: string): Promise<unknown> =>
  handle.executeUpdate(decision, { args: [{ digest, approver: 'ronny', reason: 'looked at it' }] })
