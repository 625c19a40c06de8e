/** What is being changed on which host: written before each effect, so that a run that was ended in the middle can be finished or taken back. */
import type { ApplyRecord, StepState } from '../domain/change/apply.js'
import { type Table, text } from './table.js'

const PREFIX = 'apply/'
const keyOf = (host: string, id: string): string => `${PREFIX}${host}/${id}`

export class Applies {
  constructor(private readonly table: Table) {}

  /** Begins a record; one that is there stays as it is (a repeated activity). @throws StateWriteFailed */
  begin(record: ApplyRecord): void {
    this.table.write('INSERT OR IGNORE INTO memory (key, json) VALUES (?, ?)', [keyOf(record.host, record.id), JSON.stringify(record)])
  }

  /** @throws StateWriteFailed; Error when there is no such record */
  step(host: string, id: string, stepId: string, state: StepState): void {
    const record = this.get(host, id)
    this.put({ ...record, steps: { ...record.steps, [stepId]: state } })
  }

  /** Ends a record, which then goes: what was done is in the run's receipt. @throws StateWriteFailed */
  end(host: string, id: string): void {
    this.table.write('DELETE FROM memory WHERE key = ?', [keyOf(host, id)])
  }

  /** The records of a host that nobody has ended, oldest first. */
  open(host: string): ApplyRecord[] {
    return this.table
      .read("SELECT json FROM memory WHERE key LIKE ? ESCAPE '\\' ORDER BY rowid", [`${PREFIX}${host.replace(/[\\%_]/g, '\\$&')}/%`])
      .map((row) => JSON.parse(text(row, 'json')) as ApplyRecord)
  }

  private get(host: string, id: string): ApplyRecord {
    const [row] = this.table.read('SELECT json FROM memory WHERE key = ?', [keyOf(host, id)])
    if (row === undefined) throw new Error(`there is no record of apply ${id} on ${host}`)
    return JSON.parse(text(row, 'json')) as ApplyRecord
  }

  private put(record: ApplyRecord): void {
    this.table.write('INSERT OR REPLACE INTO memory (key, json) VALUES (?, ?)', [keyOf(record.host, record.id), JSON.stringify(record)])
  }
}
