/**
 * Writes `schemas/*.schema.json` from the zod schemas, for editors (yaml-language-server) and other programs:
 * `node dist/src/runbooks/generate-schemas.js [FOLDER]`. Draft 7, which is what YAML editors understand best.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { alertsSchema } from './alerts-schema.js'
import { calendarSchema } from './calendar-schema.js'
import { emailRelaySchema } from './email-relay-schema.js'
import { estateSchema } from './estate-schema.js'
import { inventorySchema } from './inventory-schema.js'
import { vzdumpSchema } from './vzdump-schema.js'

const SCHEMAS = {
  estate: estateSchema,
  inventory: inventorySchema,
  calendar: calendarSchema,
  alerts: alertsSchema,
  vzdump: vzdumpSchema,
  'email-relay': emailRelaySchema,
}

/** File name → text of every schema, as committed under `schemas/`. */
export function renderSchemas(): Map<string, string> {
  const files = new Map<string, string>()
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' })
    files.set(`${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`)
  }
  return files
}

async function main(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, text] of renderSchemas()) {
    await writeFile(join(folder, name), text)
    process.stdout.write(`${join(folder, name)}\n`)
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv[2] ?? 'schemas')
