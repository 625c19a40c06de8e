/** The shape of `inventory.yaml`: the operator's own format. Unknown keys stay as they are; only ours (`waiver`, `decommissioned`) are strict. */
import type { z } from 'zod'
import * as f from './fields.js'

const target = f.operatorsMapping({
  name: f.name().describe('Identity of the target.'),
  enabled: f.trueOrFalse().optional().describe('true: this runs and can be verified. Left out: true, so that nothing is forgotten.'),
  kind: f.oneOf(['file_glob']).describe('file_glob: the newest file that fits the pattern counts.'),
  host: f.name().describe('The host that keeps the files, as estate.yaml names it.'),
  base_path: f.absolutePath().describe('The folder.'),
  glob: f.glob().describe('Pattern below base_path: `*`, `?`, `[a-z]`, `[!a-z]`, and `/` for folders below.'),
  stale_after_hours: f.hours().optional().describe('Freshness limit in hours. Left out: by classification, else defaults.stale_after_hours.'),
  classification: f.classification().optional().describe('How much its loss would hurt; also a limit: critical 26 h, important 48 h, rebuildable 168 h.'),
  description: f.longText().nullable().optional().describe('For people.'),
  waiver: f.waiver().optional(),
  decommissioned: f.decommissioned().optional(),
})

export const inventorySchema = f
  .operatorsMapping({
    version: f.formatVersion().optional().describe('Version of this format.'),
    defaults: f
      .operatorsMapping({
        timezone: f.timeZone().optional().describe("Left out: the estate's."),
        ssh_timeout_sec: f.wholeNumber(1, 300, 'seconds').optional().describe('Time-out for one SSH connection. Left out: 6.'),
        stale_after_hours: f.hours().optional().describe('Limit of targets with neither a limit of their own nor a classification. Left out: 26.'),
      })
      .optional()
      .describe('What targets fall back to.'),
    targets: f.listOf(target).describe('Everything that has to be there and fresh.'),
  })
  .meta({ title: 'nightshift inventory', description: 'Which backups have to be there, where, and how fresh.' })

export type InventoryFile = z.infer<typeof inventorySchema>
