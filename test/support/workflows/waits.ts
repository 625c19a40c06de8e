import { sleep } from '@temporalio/workflow'

/** Waits on a durable timer and does nothing else. */
export async function waitDays(days: number): Promise<void> {
  await sleep(`${days} days`)
}
