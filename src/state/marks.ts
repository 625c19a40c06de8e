/** At which hosts the monitor last failed to leave its mark for the watcher, and why. Lost, the next pass finds out anew. */
import { type Table, text } from './table.js'

const KEY = 'unmarked'

export class Marks {
  constructor(private readonly table: Table) {}

  /** Host → why there is no mark; empty when all were left. */
  unmarked(): Readonly<Record<string, string>> {
    const [row] = this.table.read('SELECT json FROM memory WHERE key = ?', [KEY])
    return row === undefined ? {} : (JSON.parse(text(row, 'json')) as Record<string, string>)
  }

  /** @throws StateWriteFailed */
  putUnmarked(unmarked: Readonly<Record<string, string>>): void {
    this.table.write('INSERT OR REPLACE INTO memory (key, json) VALUES (?, ?)', [KEY, JSON.stringify(unmarked)])
  }
}
