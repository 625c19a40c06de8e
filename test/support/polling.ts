/** Waiting for what comes when it comes. */
import { setTimeout as delay } from 'node:timers/promises'

const PATIENCE_MS = 60_000
const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

/**
 * Looks until there is something. What takes long to look at is looked at less often: a program that is started anew for each look would keep a processor busy.
 * @param look what it throws counts as nothing there yet
 * @throws Error after the time; what the last look threw, if it did
 */
export async function until<T>(what: string, look: () => Promise<T | undefined>, timeoutMs = PATIENCE_MS): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const began = performance.now()
    const found = await look().catch((error: unknown) => {
      if (Date.now() > deadline) throw error
      return undefined
    })
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`)
    await delay(pauseAfter(performance.now() - began))
  }
}

/** Looks until the condition holds. @throws Error after the time, and at once what a look throws */
export async function eventually(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = PATIENCE_MS): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const began = performance.now()
    if (await condition()) return
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`)
    await delay(pauseAfter(performance.now() - began))
  }
}

const pauseAfter = (tookMs: number): number => Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, 3 * tookMs))
