/**
 * How a command travels: the one quoting function, and the small POSIX script around every command.
 *
 * sshd hands one string to the login shell of the user, whatever shell that is. So the string is `exec /bin/sh -c SCRIPT sh ARGUMENTS…`, every
 * word quoted in a way that sh, bash, dash, BusyBox ash, zsh, fish and csh read alike. The script then
 *  - sets PATH (sbin included) and the locale, so that neither depends on start-up files;
 *  - writes a marker to stdout and stderr: what start-up files printed before it is cut off;
 *  - bounds the run on the host itself, because closing the channel does not end the program: GNU `timeout -k`, which makes a process group
 *    of its own. Without GNU coreutils (BusyBox has had three syntaxes of `timeout`, none kills the group) a watchdog does the same;
 *  - puts NIGHTSHIFT_RUN into the environment, by which everything that the run started can be found and killed.
 */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the scripts here are shell
import { randomBytes } from 'node:crypto'

/** Which program bounds the run: `gnu` is `timeout` of coreutils, `sh` the watchdog of the script. */
export type DeadlineKeeper = 'gnu' | 'sh'

/** The two halves of the marker. The command holds them apart, so that a shell that echoes the command (`set -x`) does not print the marker. */
export interface RunMark {
  left: string
  right: string
}

export function newRunMark(): RunMark {
  return { left: randomBytes(8).toString('hex'), right: randomBytes(8).toString('hex') }
}

/**
 * Quotes one argument for the shell. Everything is inside single quotes but the three characters that some shell reads even there:
 * `'` (all), `\` (fish), `!` (csh). Throws TypeError for NUL, which no argument of a program can hold.
 */
function quoteArgument(argument: string): string {
  if (argument.includes('\0')) throw new TypeError('an argument of a command cannot contain NUL')
  const quoted = argument.replace(/'+|\\+|!+|[^'\\!]+/g, (part) => {
    if (part[0] === "'") return `"${part}"`
    if (part[0] === '\\' || part[0] === '!') return part.replace(/./g, '\\$&')
    return `'${part}'`
  })
  return quoted === '' ? "''" : quoted
}

/** The one quoting function: an argument array → a line that any login shell reads as exactly these words. Throws TypeError for NUL. */
export function quoteArgv(argv: readonly string[]): string {
  return argv.map(quoteArgument).join(' ')
}

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The first words of the script: where they stand in a text, a shell has quoted our command. */
export const RUN_SCRIPT_START = 'set +vx'

/** No newline in here: csh cannot quote one. Arguments: the two halves, the limit in seconds, the keeper if known, the command. */
const RUN_SCRIPT = [
  RUN_SCRIPT_START,
  'a=$1 b=$2 n=$3 k=$4',
  'shift 4',
  `PATH=$PATH:${USUAL_PATH}`,
  'LC_ALL=C',
  'for d in /usr/lib/locale/C.utf8 /usr/lib/locale/C.UTF-8 /lib/ld-musl-*; do if [ -e "$d" ]; then LC_ALL=C.UTF-8; fi; done',
  'LANG=$LC_ALL NIGHTSHIFT_RUN=$a$b',
  'export PATH LANG LC_ALL NIGHTSHIFT_RUN',
  'unset LANGUAGE BASH_ENV ENV CDPATH',
  'if [ "$k" = ask ]; then case $(timeout --version 2>/dev/null </dev/null) in *coreutils*) k=gnu;; *) k=sh;; esac; fi',
  'echo "@$a$b@ $k"',
  'echo "@$a$b@" >&2',
  'if [ "$k" = gnu ]; then exec timeout -k 1 "$n" "$@"; fi',
  'g=$$',
  'if read -r t </proc/$$/stat; then t=${t##*) }; t=${t#* }; t=${t#* }; g=${t%% *}; fi 2>/dev/null',
  '(trap "" TERM; s=${n%.*}; while [ "$s" -ge 0 ]; do sleep 1; s=$((s-1)); kill -0 $$ || exit; done; kill -TERM -- -$g; sleep 1; kill -KILL -- -$g) </dev/null >/dev/null 2>&1 &',
  'w=$!',
  '(exec "$@")',
  'r=$?',
  'kill -KILL $w 2>/dev/null',
  'exit $r',
]
  .join('; ')
  .replace(/&; /g, '& ')

/**
 * Kills everything that carries the mark of a run in its environment, and the process groups of it: TERM, after half a second KILL.
 * By mark and not by number alone, because a process number may have been given to somebody else meanwhile.
 */
const KILL_SCRIPT = [
  'm=$1$2',
  `PATH=$PATH:${USUAL_PATH}`,
  'f() { grep -ls -e "NIGHTSHIFT_RUN=$m" /proc/[0-9]*/environ; }',
  'k() { for e in $(f); do p=${e#/proc/} p=${p%/environ}; if read -r t <"/proc/$p/stat"; then t=${t##*) }; t=${t#* }; t=${t#* }; kill -$1 -- "-${t%% *}"; fi; kill -$1 "$p"; done; }',
  '{ k TERM; i=0; while [ $i -lt 5 ] && [ -n "$(f)" ]; do sleep 0.1 || sleep 1; i=$((i+1)); done; k KILL; sleep 0.05; k KILL; } 2>/dev/null',
  '[ -z "$(f)" ]',
].join('; ')

/** For sudo a shell comes first, because the PATH of the user may not lead to sudo. */
function inShell(script: string, argv: readonly string[], sudo: boolean): string {
  const words = ['/bin/sh', '-c', script, 'sh', ...argv]
  return `exec ${quoteArgv(sudo ? ['/bin/sh', '-c', `PATH=$PATH:${USUAL_PATH}; export PATH; LC_ALL=C exec sudo -n -- "$@"`, 'sh', ...words] : words)}`
}

/** Linux takes no single argument of 128 KiB or more (MAX_ARG_STRLEN), and the login shell gets all in one. */
const MAX_COMMAND_BYTES = 120_000

/** The line for sshd that runs `argv` for at most `limitMs` milliseconds. `keeper` is given when an earlier run on the host told it. Throws RangeError when it is too long. */
export function renderRunCommand(argv: readonly string[], o: { mark: RunMark; limitMs: number; sudo: boolean; keeper?: DeadlineKeeper }): string {
  const seconds = (Math.max(100, o.limitMs) / 1000).toFixed(1)
  const command = inShell(RUN_SCRIPT, [o.mark.left, o.mark.right, seconds, o.keeper ?? 'ask', ...argv], o.sudo)
  if (Buffer.byteLength(command) > MAX_COMMAND_BYTES) throw new RangeError('the arguments of the command are too long for one command line: send data by stdin')
  return command
}

/** The line for sshd that ends the run with this mark; it exits 0 when nothing of the run is left. */
export function renderKillCommand(mark: RunMark, sudo: boolean): string {
  return inShell(KILL_SCRIPT, [mark.left, mark.right], sudo)
}

const NOISE_TAIL_BYTES = 2048

/** Cuts one output stream at the marker line: what comes before is noise of start-up files, what comes after belongs to the command. */
export class MarkedStream {
  readonly #marker: Buffer
  #pending: Buffer = Buffer.alloc(0)
  /** The rest of the marker line, once it was seen. */
  markerRest: string | undefined

  constructor(mark: RunMark) {
    this.#marker = Buffer.from(`@${mark.left}${mark.right}@`)
  }

  /** The last bytes before the marker (at most 2 KiB kept): the only explanation there is when the marker never comes. */
  get noiseTail(): Buffer {
    return this.markerRest === undefined ? this.#pending : Buffer.alloc(0)
  }

  /** Returns what belongs to the command. */
  push(chunk: Buffer): Buffer {
    if (this.markerRest !== undefined) return chunk
    const all = Buffer.concat([this.#pending, chunk])
    const at = all.indexOf(this.#marker)
    const end = at < 0 ? -1 : all.indexOf(0x0a, at)
    if (end < 0) {
      this.#pending = at < 0 ? all.subarray(Math.max(0, all.length - NOISE_TAIL_BYTES)) : all.subarray(at)
      return Buffer.alloc(0)
    }
    this.markerRest = all.toString('latin1', at + this.#marker.length, end).trim()
    this.#pending = Buffer.alloc(0)
    return all.subarray(end + 1)
  }
}
