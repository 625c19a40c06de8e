/** The guests that runs wait for. Written by those runs, read by every pass of the monitor; lost state means that the next look writes it again. */
import type { OpenEnrollment } from '../domain/enroll/open.js'
import { type Table, text } from './table.js'

const PREFIX = 'enrollment/'
const keyOf = (host: string, vmid: number): string => `${PREFIX}${host}/${vmid}`

export class OpenEnrollments {
  constructor(private readonly table: Table) {}

  /** @throws StateWriteFailed */
  put(enrollment: OpenEnrollment): void {
    this.table.write('INSERT OR REPLACE INTO memory (key, json) VALUES (?, ?)', [keyOf(enrollment.host, enrollment.vmid), JSON.stringify(enrollment)])
  }

  /** No run waits for this guest any more. A guest that another run waits for by now stays open. @throws StateWriteFailed */
  remove(host: string, vmid: number, workflowId: string): void {
    const mine = this.list().some((open) => open.host === host && open.vmid === vmid && open.workflowId === workflowId)
    if (mine) this.table.write('DELETE FROM memory WHERE key = ?', [keyOf(host, vmid)])
  }

  list(): OpenEnrollment[] {
    return this.table
      .read('SELECT json FROM memory WHERE key LIKE ? ORDER BY key', [`${PREFIX}%`])
      .map((row) => JSON.parse(text(row, 'json')) as OpenEnrollment)
  }
}
