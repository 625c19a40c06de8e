/** What an operator may type as input of each workflow. Unknown keys are refused: a typo must not be silently ignored. */
import { z } from 'zod'

export const backupMonitorInput = z.strictObject({
  note: z.string().max(200).optional(),
})
