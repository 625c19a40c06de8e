/**
 * The faults of the lab that are not changes of files, and how each is taken back. All of them are idempotent.
 */
import { allowLogin, resetClock, restoreHostKey, restoreLink, startDaemon, thaw } from '../faults.js'
import type { LabHost } from '../host.js'
import type { Lab } from '../lab.js'
import { grantTrust } from '../trust.js'
import { mountStorage } from './apply.js'

export type FaultName = 'link' | 'frozen' | 'daemon' | 'host-key' | 'login' | 'clock' | 'trust' | 'disk-full' | 'unmounted' | 'stopped' | 'unit' | 'mid-output'

export interface FaultNote {
  readonly fault: FaultName
  readonly host: string
  /** `daemon`, `unit`: its name; `trust`: the host that is not let in any more … to; `disk-full`, `unmounted`: the path. */
  readonly detail?: string
}

const MID_OUTPUT_UNIT = 'nightshift-lab-mid-output.service'

/** From the moment at which the host works for the next pass nothing it sends arrives: its own end of the cable goes dead. */
export async function vanishMidOutput(host: LabHost): Promise<void> {
  const script = "until pgrep -f '[p]vesh get' > /dev/null; do sleep 0.01; done; exec ip link set eth0 down"
  await host.exec(['systemd-run', '--quiet', '--collect', `--unit=${MID_OUTPUT_UNIT}`, 'sh', '-c', script])
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
    'mid-output': async () => {
      await host.exec(['systemctl', 'stop', MID_OUTPUT_UNIT], { check: false })
      await host.exec(['ip', 'link', 'set', 'eth0', 'up'])
    },
    unit: () => host.exec(['systemctl', 'start', detail]),
  }
  await undo[fault]()
}
