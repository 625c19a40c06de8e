/**
 * Incidents as one run of the desk hands them to the next. A run begins with one message, and the server takes 2 MiB: what hundreds of incidents have in common
 * (who was told, in which thread, why) is written once.
 */
import { type DeskFinding, keyOf } from './report.js'
import type { DeskState, Incident } from './state.js'

/** As many and fewer travel as they are: somebody may want to read them in the history. */
const MOST_PLAIN = 100

/** Each row has a place in `values` for each of `fields`. The key is not among them: it is made of subject and condition. */
export interface CarriedIncidents {
  readonly fields: readonly string[]
  readonly values: readonly unknown[]
  readonly rows: readonly (readonly number[])[]
}

export interface CarriedState {
  readonly state: DeskState
  /** Those that `state` leaves out; absent where it has them all. */
  readonly incidents?: CarriedIncidents
}

export function carry(state: DeskState): CarriedState {
  const incidents = Object.values(state.incidents)
  if (incidents.length <= MOST_PLAIN) return { state }
  const fields = [...new Set(incidents.flatMap((incident) => Object.keys(incident)))].filter((field) => field !== 'key') as (keyof Incident)[]
  const values: unknown[] = []
  const places = new Map<string, number>()
  const placeOf = (value: unknown): number => {
    const text = JSON.stringify(value ?? null)
    const place = places.get(text) ?? values.push(value ?? null) - 1
    places.set(text, place)
    return place
  }
  const rows = incidents.map((incident) => fields.map((field) => placeOf(incident[field])))
  return { state: { ...state, incidents: {} }, incidents: { fields, values, rows } }
}

export function taken({ state, incidents }: CarriedState): DeskState {
  if (incidents === undefined) return state
  const all = incidents.rows.map((row) => {
    const incident = Object.fromEntries(incidents.fields.map((field, index) => [field, incidents.values[row[index] ?? -1]]))
    const key = keyOf(incident as unknown as DeskFinding)
    return [key, { ...incident, key } as Incident] as const
  })
  return { ...state, incidents: Object.fromEntries(all) }
}
