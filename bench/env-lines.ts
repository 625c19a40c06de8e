/** Reads the lines that `lab env` prints for a shell. */
export function parseEnvLines(text: string): Record<string, string> {
  const lines = text.split('\n').map((line) => /^(?:export )?([A-Z_]+)=(?:'([^']*)'|"([^"]*)"|(.*))$/.exec(line.trim()))
  return Object.fromEntries(lines.flatMap((match) => (match?.[1] === undefined ? [] : [[match[1], match[2] ?? match[3] ?? match[4] ?? '']])))
}
