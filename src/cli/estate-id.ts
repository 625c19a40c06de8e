/** Which estate a configuration folder is about, without loading the YAML reader where that can be avoided: `nightshift status` has to be quick. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../domain/config-error.js'
import { ESTATE_ID } from '../domain/ids.js'
import { plainCause } from './plain-cause.js'

/** A top-level `id:` as people write it: alone on its line, perhaps quoted, perhaps followed by a comment. */
const PLAIN_ID = /^id:[ \t]+(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#"'&*!|>[{][^\n#]*?))[ \t]*(?:#[^\n]*)?\r?$/gm

/**
 * The `id` of `DIR/estate.yaml`.
 * @throws ConfigError when there is no such file, or no id in it
 */
export async function estateIdOf(configDir: string): Promise<string> {
  const path = join(configDir, 'estate.yaml')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(
      `${path} cannot be read: ${plainCause(error).replace(`${path}: `, '')}`,
      'name the configuration folder with --config DIR, or the state folder with NIGHTSHIFT_STATE',
      { cause: error },
    )
  }
  const id = quickId(text) ?? (await parsedId(text))
  if (typeof id !== 'string' || !ESTATE_ID.test(id)) {
    throw new ConfigError(`${path} has no usable \`id\``, 'nightshift doctor says what is wrong with the file')
  }
  return id
}

/** The id when it is certain: exactly one line that can be it. A file written in another way is left to the real parser. */
function quickId(text: string): string | undefined {
  const [first, ...others] = text.matchAll(PLAIN_ID)
  if (first === undefined || others.length > 0) return undefined
  const id = (first[1] ?? first[2] ?? first[3])?.trim()
  return id !== undefined && ESTATE_ID.test(id) ? id : undefined
}

async function parsedId(text: string): Promise<unknown> {
  const { parse } = await import('yaml')
  try {
    const document: unknown = parse(text, { maxAliasCount: 10 })
    return typeof document === 'object' && document !== null && 'id' in document ? document.id : undefined
  } catch {
    return undefined
  }
}
