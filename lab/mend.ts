/** Takes every fault of `faults.ts` back, whoever made it: what `reset` and the named states begin with. */
import { allowLogin, resetClock, restoreHostKey, restoreLink, setLatency, startDaemon, thaw } from './faults.js'
import type { Lab } from './lab.js'

/** All hosts must be up (`upLab`). */
export async function mendAll(lab: Lab): Promise<void> {
  await Promise.all(
    [...lab.hosts.values()].map(async (host) => {
      await thaw(host)
      await restoreLink(host)
      await resetClock(host)
      await restoreHostKey(host)
      await allowLogin(host)
      setLatency(host, 0)
      await startDaemon(host, 'ssh')
      for (const unit of host.kind === 'proxmox' ? ['cron', 'pvescheduler'] : host.kind === 'guest' ? ['cron'] : [])
        await host.exec(['systemctl', 'start', unit], { check: false })
    }),
  )
}
