/**
 * Takes the output of a probe script apart into its frames. Content cannot forge a frame: every marker starts with the pass's
 * random nonce. A frame without its end was cut off.
 */
import type { Reading } from '../observation.js'
import { unread } from '../observation.js'
import { oneLine } from './text.js'

export interface Frame {
  readonly body: string
  readonly errors: string
  /** Exit code, or null when the command's result was lost. */
  readonly exitCode: number | null
}

export interface Frames {
  readonly frames: ReadonlyMap<string, Frame>
  /** Frames that began and never ended. */
  readonly cut: ReadonlySet<string>
  /** One-line answers: first word → the rest, in order. */
  readonly says: ReadonlyMap<string, readonly string[]>
  /** The script's last word arrived. */
  readonly complete: boolean
}

/** Never throws, whatever the text. */
export function readFrames(stdout: string, nonce: string): Frames {
  const frames = new Map<string, Frame>()
  const cut = new Set<string>()
  const says = new Map<string, string[]>()
  let complete = false
  let open: { id: string; lines: string[]; errorLines: string[] | null } | null = null
  const lines = stdout.split('\n')
  // what stands after the last line break was cut off in mid-line, unless it is empty
  const unfinished = lines.pop() ?? ''
  for (const line of lines) {
    if (!line.startsWith(`${nonce} `)) {
      if (open) (open.errorLines ?? open.lines).push(line)
      continue
    }
    const rest = line.slice(nonce.length + 1)
    const space = rest.indexOf(' ')
    const word = space < 0 ? rest : rest.slice(0, space)
    const value = space < 0 ? '' : rest.slice(space + 1)
    if (word === 'begin') {
      if (open) cut.add(open.id)
      open = { id: value, lines: [], errorLines: null }
    } else if (word === 'errors') {
      if (open && open.id === value) open.errorLines = []
    } else if (word === 'end') {
      const gap = value.lastIndexOf(' ')
      const id = gap < 0 ? value : value.slice(0, gap)
      const code = gap < 0 ? '' : value.slice(gap + 1)
      if (open && open.id === id) {
        frames.set(id, {
          body: withoutLastBreak(open.lines),
          errors: open.errorLines ? withoutLastBreak(open.errorLines) : '',
          exitCode: /^\d+$/.test(code) ? Number(code) : null,
        })
        open = null
      }
    } else if (word === 'done') {
      complete = true
    } else {
      const known = says.get(word)
      if (known) known.push(value)
      else says.set(word, [value])
    }
  }
  if (open) cut.add(open.id)
  return { frames, cut, says, complete: complete && unfinished === '' }
}

/** The script puts a line break before each marker, so that content without one at its end does no harm. */
function withoutLastBreak(lines: readonly string[]): string {
  const text = lines.join('\n')
  return text.endsWith('\n') ? text.slice(0, -1) : text
}

/** A frame's content through `parse`, or why there is none. Exit codes that are not 0 are failures; 124, 137 and 143 are time-outs. */
export function fromFrame<T>(frames: Frames, id: string, parse: (frame: Frame) => Reading<T>): Reading<T> {
  const fatal = frames.says.get('fatal')?.[0]
  if (fatal !== undefined) return unread('failed', oneLine(fatal))
  if (frames.cut.has(id)) return unread('truncated', 'the answer was cut off')
  const frame = frames.frames.get(id)
  if (!frame) return unread('truncated', frames.complete ? 'the host gave no answer to this' : 'the answer was cut off before this')
  if (frame.exitCode === null) return unread('failed', 'the command on the host ended without a result')
  if (frame.exitCode === 124 || frame.exitCode === 137 || frame.exitCode === 143) return unread('timed_out', 'no answer within the time limit')
  if (frame.exitCode !== 0) return unread('failed', oneLine(frame.errors) || `the command ended with ${frame.exitCode}`)
  return parse(frame)
}
