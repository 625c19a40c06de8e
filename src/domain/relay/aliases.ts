/** aliases(5): entries of the file and of the compiled map, and the file without addresses that may not stand there. Pure. */

export interface AliasEntry {
  /** Lower case, as Postfix looks it up. */
  readonly name: string
  readonly values: readonly string[]
  /** Lines of the entry in the file, from 0, the last one exclusive. */
  readonly lines: readonly [from: number, to: number]
}

/** Entries of the text; a line that begins with white space goes on with the one before. */
export function aliasEntries(text: string): AliasEntry[] {
  const lines = text.split('\n')
  const entries: { name: string; value: string; lines: [number, number] }[] = []
  for (const [index, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const last = entries.at(-1)
    if (/^\s/.test(line)) {
      if (last !== undefined) {
        last.value += ` ${line.trim()}`
        last.lines[1] = index + 1
      }
      continue
    }
    const [, quoted, bare, value = ''] = /^(?:"([^"]+)"|([^\s:"]+))\s*:\s*(.*)$/.exec(line) ?? []
    const name = (quoted ?? bare ?? '').toLowerCase()
    if (name !== '') entries.push({ name, value, lines: [index, index + 1] })
  }
  return entries.map(({ name, value, lines: at }) => ({ name, values: valuesOf(value), lines: at }))
}

/** What `postalias -s` prints: `name: values`, a line each. */
export function compiledEntries(output: string): { name: string; values: string[] }[] {
  return output.split('\n').flatMap((line) => {
    const [, name = '', value = ''] = /^(\S+?):?[\t ]+(.*)$/.exec(line.replaceAll('\0', '')) ?? []
    // postalias adds keys of its own, among them its age (`YP_LAST_MODIFIED`, as sendmail has it).
    return name === '' || name === '@' || name.startsWith('YP_') ? [] : [{ name: name.toLowerCase(), values: valuesOf(value) }]
  })
}

/** Values are parted by commas; quotes keep a command with blanks together. */
function valuesOf(text: string): string[] {
  return (text.match(/"[^"]*"|[^,]+/g) ?? []).map((value) => value.trim().replace(/^"(.*)"$/, '$1')).filter((value) => value !== '')
}

/**
 * The file without the values that `goes` names. An entry that has none left is removed when it is root's (whose .forward then counts), and sent to root otherwise.
 * Entries that keep all of their values keep their lines as they are.
 */
export function withoutValues(text: string, goes: (name: string, value: string) => boolean): string {
  const lines: (string | null)[] = text.split('\n')
  for (const entry of aliasEntries(text)) {
    const kept = entry.values.filter((value) => !goes(entry.name, value))
    if (kept.length === entry.values.length) continue
    for (let index = entry.lines[0]; index < entry.lines[1]; index += 1) if (!/^\s*(#|$)/.test(lines[index] ?? '')) lines[index] = null
    const values = kept.length > 0 ? kept : entry.name === 'root' ? [] : ['root']
    if (values.length > 0)
      lines[entry.lines[0]] =
        `${/^[\w.+-]+$/.test(entry.name) ? entry.name : `"${entry.name}"`}: ${values.map((value) => (/[\s,]/.test(value) ? `"${value}"` : value)).join(', ')}`
  }
  return lines.filter((line) => line !== null).join('\n')
}
