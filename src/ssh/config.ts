/**
 * `ssh_config` → how to reach one host. Read with the `ssh-config` package; the meaning of the lines is here, because every line that we
 * cannot follow must be refused with its place in the file. First value wins, IdentityFile adds up (ssh_config(5)).
 * Relative paths are relative to the folder of the file, so that a configuration folder can be moved as a whole.
 */
import { homedir, userInfo } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { closest } from 'fastest-levenshtein'
import SSHConfig, { type Directive, type Line, LineType, type Section } from 'ssh-config'
import { ALL_KEYWORDS, adviceFor, isHarmless, isSupportedKeyword, type SupportedKeyword } from './config-keywords.js'
import { SshError } from './errors.js'
import { FileCache } from './file-cache.js'
import { matchesPattern, matchesPatternList } from './patterns.js'

/** One line of the file. `keyword` in lower case, `line` counted from 1. */
interface ConfigLine {
  keyword: string
  written: string
  values: string[]
  line: number
}

interface ConfigBlock {
  /** `Host` patterns; undefined for the lines before the first block and for `Match all`. */
  patterns?: string[]
  /** A `Match` that is not `Match all`: it may apply to any host, so it is refused for all. */
  refusedMatch?: ConfigLine
  lines: ConfigLine[]
}

export interface SshConfigFile {
  path: string
  blocks: ConfigBlock[]
}

/** Everything that a connection to one host needs to know. Times in milliseconds. */
export interface ResolvedHost {
  alias: string
  hostName: string
  port: number
  user: string
  /** Absolute paths in the order of the file; empty when none is given. */
  identityFiles: string[]
  /** Set when `UserKnownHostsFile` is given for this host; then it counts instead of the caller's files. */
  knownHostsFiles?: string[]
  /** The name under which the host key is stored, when it is not the address (`HostKeyAlias`). */
  hostKeyAlias?: string
  connectTimeoutMs?: number
  /** `ServerAliveInterval`; undefined when it is not given, or 0 (ssh_config(5): no signs of life are asked for), which would let a dead line pass for a slow program. */
  keepaliveIntervalMs?: number
  /** 4 or 6 when `AddressFamily` says so; 0 is either. */
  family: 0 | 4 | 6
}

function refuse(alias: string, place: string, message: string, next: string): SshError {
  return new SshError({ reason: 'unsupported_ssh_config', host: alias, message: `${place}: ${message}`, next })
}

function countLineBreaks(text: string): number {
  return text.split('\n').length - 1
}

function valuesOf(directive: Directive): string[] {
  return typeof directive.value === 'string' ? [directive.value] : directive.value.map((part) => part.val)
}

/** Parses the file; throws SshError `unsupported_ssh_config` with file:line for text that is no ssh_config at all. */
export function parseSshConfig(text: string, path: string): SshConfigFile {
  let parsed: SSHConfig
  try {
    parsed = SSHConfig.parse(text)
  } catch {
    throw refuse(
      '',
      `${path}:${findBrokenLine(text)}`,
      'this line cannot be read as ssh_config',
      `correct the line; \`ssh -G -F ${path} HOST\` checks the file`,
    )
  }
  const blocks: ConfigBlock[] = []
  let current: ConfigBlock = { lines: [] }
  blocks.push(current)
  let lineNumber = 1
  const visit = (node: Line): void => {
    lineNumber += countLineBreaks(node.before)
    if (node.type === LineType.DIRECTIVE) {
      const line: ConfigLine = { keyword: node.param.toLowerCase(), written: node.param, values: valuesOf(node), line: lineNumber }
      if (line.keyword === 'host') {
        current = { patterns: line.values, lines: [] }
        blocks.push(current)
      } else if (line.keyword === 'match') {
        const all = line.values.length === 1 && line.values[0]?.toLowerCase() === 'all'
        current = all ? { lines: [] } : { lines: [], refusedMatch: line }
        blocks.push(current)
      } else current.lines.push(line)
    }
    lineNumber += countLineBreaks(node.after)
    if (node.type === LineType.DIRECTIVE && 'config' in node) (node as Section).config.forEach(visit)
  }
  parsed.forEach(visit)
  return { path, blocks }
}

/** The parser gives no line numbers with its errors: the first line that does not stand by itself is the one. */
function findBrokenLine(text: string): number {
  const lines = text.split('\n')
  const broken = lines.findIndex((line) => {
    if (line.trim() === '') return false
    try {
      SSHConfig.parse(line)
      return false
    } catch {
      return true
    }
  })
  return broken < 0 ? 1 : broken + 1
}

const cache = new FileCache((content, path) => parseSshConfig(content.toString('utf8'), path))

/** Reads the file (cached by its modification time). A file that does not exist is an error: it was asked for by name. */
export function loadSshConfig(path: string, alias: string): SshConfigFile {
  let file: SshConfigFile | undefined
  try {
    file = cache.read(path)
  } catch (cause) {
    if (cause instanceof SshError) throw new SshError({ reason: cause.reason, host: alias, message: cause.message, next: cause.next })
    throw refuse(alias, path, `cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`, `make ${path} readable for this user`)
  }
  if (file === undefined)
    throw refuse(alias, path, 'this ssh_config does not exist', `create it with a block \`Host ${alias}\`, or set ssh.config in estate.yaml`)
  return file
}

/**
 * What the file says about `alias`. Throws SshError `unsupported_ssh_config` with file:line for every line that applies to this host and
 * cannot be followed. A host that no block names is allowed, as with ssh: its name is its address.
 */
export function resolveHost(file: SshConfigFile, alias: string): ResolvedHost {
  if (alias === '' || /[\s\0/]/.test(alias) || alias.startsWith('-'))
    throw refuse(alias, file.path, `${JSON.stringify(alias)} is not a host name`, 'correct the name of the host')
  const first = new Map<SupportedKeyword, ConfigLine>()
  const identityFiles: ConfigLine[] = []
  const ignored = ignoreUnknownPatterns(file, alias)
  for (const block of file.blocks) {
    if (block.refusedMatch !== undefined)
      throw refuse(
        alias,
        `${file.path}:${block.refusedMatch.line}`,
        `\`Match ${block.refusedMatch.values.join(' ')}\` is not supported, and it may apply to host ${alias}`,
        'use `Host` blocks instead',
      )
    if (block.patterns !== undefined && !matchesPatternList(block.patterns, alias)) continue
    for (const line of block.lines) {
      checkLine(file, alias, line, ignored)
      if (line.keyword === 'identityfile') identityFiles.push(line)
      else if (isSupportedKeyword(line.keyword) && !first.has(line.keyword)) first.set(line.keyword, line)
    }
  }
  return buildHost(file, alias, first, identityFiles)
}

function ignoreUnknownPatterns(file: SshConfigFile, alias: string): string[] {
  return file.blocks
    .filter((block) => block.patterns === undefined || matchesPatternList(block.patterns, alias))
    .flatMap((block) => block.lines)
    .filter((line) => line.keyword === 'ignoreunknown')
    .flatMap((line) =>
      line.values
        .join(',')
        .toLowerCase()
        .split(/[,\s]+/),
    )
}

function checkLine(file: SshConfigFile, alias: string, line: ConfigLine, ignored: readonly string[]): void {
  const place = `${file.path}:${line.line}`
  if (line.values.length === 0 || line.values.join('') === '') throw refuse(alias, place, `\`${line.written}\` has no value`, 'give a value or remove the line')
  if (isSupportedKeyword(line.keyword) || isHarmless(line.keyword, line.values)) return
  if (ALL_KEYWORDS.includes(line.keyword))
    throw refuse(alias, place, `\`${line.written} ${line.values.join(' ')}\` is not supported for host ${alias}`, adviceFor(line.keyword))
  if (ignored.some((pattern) => matchesPattern(pattern, line.keyword))) return
  throw refuse(alias, place, `\`${line.written}\` is not a keyword of ssh_config`, `did you mean \`${closest(line.keyword, ALL_KEYWORDS)}\`?`)
}

function buildHost(file: SshConfigFile, alias: string, first: Map<SupportedKeyword, ConfigLine>, identityFiles: ConfigLine[]): ResolvedHost {
  const place = (line: ConfigLine): string => `${file.path}:${line.line}`
  const text = (keyword: SupportedKeyword): string | undefined => first.get(keyword)?.values.join(' ')
  const wholeNumber = (keyword: SupportedKeyword, max: number): number | undefined => {
    const line = first.get(keyword)
    const value = text(keyword)
    if (line === undefined || value === undefined) return undefined
    const number = /^\d{1,9}$/.test(value) ? Number(value) : 0
    if (number < 1 || number > max) throw refuse(alias, place(line), `\`${line.written} ${value}\` is not a number from 1 to ${max}`, 'correct the number')
    return number
  }
  const strict = first.get('stricthostkeychecking')
  if (strict !== undefined && strict.values.join(' ').toLowerCase() !== 'yes')
    throw refuse(
      alias,
      place(strict),
      `\`${strict.written} ${strict.values.join(' ')}\` would trust a host key that nobody has checked`,
      `remove the line, and record the key once with \`nightshift trust ${alias}\``,
    )
  const familyLine = first.get('addressfamily')
  const family = { any: 0, inet: 4, inet6: 6 }[text('addressfamily')?.toLowerCase() ?? 'any']
  if (family === undefined) throw refuse(alias, familyLine ? place(familyLine) : file.path, 'AddressFamily is any, inet or inet6', 'correct the line')

  const hostNameLine = first.get('hostname')
  const hostName = hostNameLine === undefined ? alias : expand(file, alias, hostNameLine, text('hostname') ?? alias, { h: alias, n: alias })
  const user = text('user') ?? userInfo().username
  const port = wholeNumber('port', 65535) ?? 22
  const tokens = { h: hostName, n: alias, r: user, p: String(port), u: userInfo().username, d: homedir(), k: text('hostkeyalias') ?? alias }
  const toPath = (line: ConfigLine, value: string): string => absolute(file, expand(file, alias, line, value, tokens))
  const knownHostsLine = first.get('userknownhostsfile')
  const knownHostsFiles = knownHostsLine?.values.map((value) => toPath(knownHostsLine, value))
  if (knownHostsLine !== undefined && knownHostsFiles?.some((path) => path === '/dev/null' || path.endsWith('/none')))
    throw refuse(
      alias,
      place(knownHostsLine),
      'a known_hosts that is always empty trusts nobody or everybody',
      `remove the line, and record the key once with \`nightshift trust ${alias}\``,
    )
  const connectTimeoutSeconds = wholeNumber('connecttimeout', 3600)
  const aliveSeconds = text('serveraliveinterval') === '0' ? undefined : wholeNumber('serveraliveinterval', 3600)
  return {
    alias,
    hostName,
    port,
    user,
    identityFiles: identityFiles.filter((line) => line.values[0]?.toLowerCase() !== 'none').map((line) => toPath(line, line.values.join(' '))),
    knownHostsFiles,
    hostKeyAlias: text('hostkeyalias'),
    connectTimeoutMs: connectTimeoutSeconds === undefined ? undefined : connectTimeoutSeconds * 1000,
    keepaliveIntervalMs: aliveSeconds === undefined ? undefined : aliveSeconds * 1000,
    family: family as 0 | 4 | 6,
  }
}

/** `%` tokens and a leading `~`. A token that we do not know is refused: guessing a path is worse than stopping. */
function expand(file: SshConfigFile, alias: string, line: ConfigLine, value: string, tokens: Record<string, string>): string {
  const place = `${file.path}:${line.line}`
  if (value.includes('${')) throw refuse(alias, place, `\`${line.written}\` uses an environment variable`, 'write the path out')
  const expanded = value.replace(/%(.?)/g, (whole, token: string) => {
    const known = token === '%' ? '%' : tokens[token]
    if (known === undefined) throw refuse(alias, place, `\`${line.written}\` uses the token ${whole}, which is not supported here`, 'write the value out')
    return known
  })
  if (/^~[^/]/.test(expanded)) throw refuse(alias, place, `\`${line.written} ${value}\`: only your own \`~/\` is supported`, 'write the path out')
  return expanded === '~' || expanded.startsWith('~/') ? join(homedir(), expanded.slice(1)) : expanded
}

function absolute(file: SshConfigFile, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file.path), path)
}
