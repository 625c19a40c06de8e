/** What the plan does to the runbook files of the estate as found, carried out and taken back on real files. */
import { cpSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { editRunbooks as labState } from '../../../lab/estate/config-edits.js'
import { differencesInRunbooks, editRunbooks } from '../../../src/activities/change-runbooks.js'
import { loadRunbooks } from '../../../src/runbooks/index.js'
import { observation, plan } from './world.js'

const FILES = ['inventory.yaml', 'calendar.yaml', 'vzdump.yaml']

/** All values; lists of guests are sets, and a job's line in the file is no value. */
async function meaning(folder: string) {
  const { inventory, calendar, vzdump } = await loadRunbooks(folder)
  const hosts = vzdump?.hosts.map((host) => ({ ...host, jobs: host.jobs.map(({ place: _, ...job }) => job) }))
  const unplaced = <T extends { place: string }>(rows: readonly T[]) => rows.map(({ place: _, ...row }) => row)
  return {
    targets: unplaced(inventory.targets),
    events: unplaced(calendar.events).map((event) => ({ ...event, guests: new Set(event.guests) })),
    hosts: hosts?.map(({ storages: _, ...host }) => host),
  }
}

test('guests that are gone leave the files, whose comments and order stay; taken back, the files say what they said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-hygiene-'))
  cpSync('runbooks', folder, { recursive: true })
  labState(folder, 'as-found', new Date('2026-11-21T12:00:00Z'))
  const read = () => FILES.map((file) => readFileSync(join(folder, file), 'utf8'))
  const before = read()
  const said = await meaning(folder)
  const seen = observation('home-as-found')
  const steps = plan(seen, await loadRunbooks(folder)).draft.steps.filter((step) => step.host === null)
  expect(steps).toHaveLength(3)

  for (const step of steps) {
    expect(await differencesInRunbooks(folder, step.before), step.id).toEqual([])
    if (step.effect.kind === 'runbook') await editRunbooks(folder, step.effect)
    expect(await differencesInRunbooks(folder, step.after), step.id).toEqual([])
  }
  expect(plan({ ...seen, jobs: [] }, await loadRunbooks(folder)).draft.steps.filter((step) => step.host === null)).toEqual([])
  for (const [index, text] of read().entries()) {
    const comments = (from: string) => from.split('\n').filter((line) => /^\s*#/.test(line))
    expect(comments(text), FILES[index]).toEqual(comments(before[index] ?? ''))
  }

  for (const step of steps.toReversed()) {
    if ('effect' in step.undo && step.undo.effect.kind === 'runbook') await editRunbooks(folder, step.undo.effect)
    expect(await differencesInRunbooks(folder, step.before), step.id).toEqual([])
  }
  expect(await meaning(folder)).toEqual(said)
})
