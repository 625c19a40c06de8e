/**
 * The faults of the lab that are not changes of files, and how each is taken back. All of them are idempotent.
 */
import { allowLogin, resetClock, restoreHostKey, restoreLink, startDaemon, thaw } from '../faults.js'
import type { Lab } from '../lab.js'
import { grantTrust } from '../trust.js'
import { mountStorage } from './apply.js'

export type FaultName = 'link' | 'frozen' | 'daemon' | 'host-key' | 'login' | 'clock' | 'trust' | 'disk-full' | 'unmounted' | 'stopped' | 'unit'

export interface FaultNote {
  readonly fault: FaultName
  readonly host: string
  /** `daemon`, `unit`: its name; `trust`: the host that is not let in any more … to; `disk-full`, `unmounted`: the path. */
  readonly detail?: string
}

export async function undoFault(lab: Lab, { fault, host: name, detail = '' }: FaultNote): Promise<void> {
  const host = lab.host(name)
  const undo: Record<FaultName, () => Promise<unknown>> = {
    link: () => restoreLink(host),
    frozen: () => thaw(host),
    daemon: () => startDaemon(host, detail),
    'host-key': () => restoreHostKey(host),
    login: () => allowLogin(host),
    clock: () => resetClock(host),
    trust: async () => grantTrust(host, lab.host(detail)),
    'disk-full': () => host.emptyDisk(detail),
    unmounted: () => mountStorage(lab, name, detail),
    stopped: () => host.start(),
    unit: () => host.exec(['systemctl', 'start', detail]),
  }
  await undo[fault]()
}
