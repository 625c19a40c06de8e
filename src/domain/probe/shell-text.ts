/** A template tag for shell programs: backslashes stay as they are, and `\${…}` stands for the shell's own `${…}`. */
export function shell(text: TemplateStringsArray): string {
  return (text.raw[0] ?? '').replaceAll('\\${', '${').replaceAll('\\`', '`')
}
