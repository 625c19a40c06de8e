/** The smallest workflow that outlives an outage: it waits for a signal and returns what it carried. */
import { condition, defineSignal, setHandler } from '@temporalio/workflow'

export const answer = defineSignal<[string]>('answer')

export async function waitsForSignal(): Promise<string> {
  let answered: string | undefined
  setHandler(answer, (text) => {
    answered = text
  })
  await condition(() => answered !== undefined)
  return answered ?? ''
}
