/**
 * Turns the output of one probe script into a reading. Pure, and it never throws: whatever is missing, cut off or unreadable
 * becomes an unread value of its own with a reason.
 */
import type { DirectoryObservation, DirectoryPlan, HostProbePlan, HostReading, Mount, ProducerObservation, ProducerPlan, Reading } from '../observation.js'
import { readOk, unread } from '../observation.js'
import type { Frame, Frames } from './frames.js'
import { fromFrame, readFrames } from './frames.js'
import { parseDirectory } from './parse-directory.js'
import { parseProxmox } from './parse-proxmox.js'
import { oneLine } from './text.js'

/**
 * @param stdout what the script wrote, decoded as UTF-8 (bytes that are none become U+FFFD)
 * @param nonce the one the script was rendered with
 */
export function parseProbeOutput(plan: HostProbePlan, nonce: string, stdout: string): HostReading {
  const frames = readFrames(stdout, nonce)
  const fatal = frames.says.get('fatal')?.[0]
  return {
    complete: frames.complete && fatal === undefined,
    hostname: parseHostname(frames),
    clock: parseClock(frames),
    mounts: fromFrame(frames, 'mounts', parseMounts),
    directories: [...plan.directories.map((directory) => observeDirectory(frames, directory)), ...foundDirectories(frames)],
    producers: plan.producers.map((producer) => observeProducer(frames, producer)),
    proxmox: plan.proxmox ? parseProxmox(frames) : null,
  }
}

function parseHostname(frames: Frames): Reading<string> {
  const name = frames.says.get('hostname')?.[0]?.trim()
  return name ? readOk(oneLine(name)) : unread('truncated', 'the host did not tell its name')
}

const CLOCK = /^(\d{9,11}) (\d{9}|\S*) ?([+-]\d{4})?$/

function parseClock(frames: Frames): HostReading['clock'] {
  const start = CLOCK.exec(frames.says.get('clock')?.[0] ?? '')
  if (!start) return unread('unparseable', 'the host did not tell its time')
  const end = CLOCK.exec(frames.says.get('clock-end')?.[0] ?? '')
  if (!end) return unread('truncated', 'the answer was cut off before the second clock reading')
  const fine = /^\d{9}$/.test(start[2] ?? '') && /^\d{9}$/.test(end[2] ?? '')
  const seconds = (match: RegExpExecArray): number => Number(match[1]) + (fine ? Number(match[2]) / 1e9 : 0)
  const zone = /(?:zoneinfo\/)?((?:[A-Za-z_+-]+[0-9]*\/)*[A-Za-z0-9_+-]+)$/.exec(frames.says.get('zone')?.[0]?.trim() ?? '')
  return readOk({
    startSeconds: seconds(start),
    endSeconds: seconds(end),
    resolutionSeconds: fine ? 0 : 1,
    utcOffset: start[3] ?? '+0000',
    zone: zone ? zoneName(frames.says.get('zone')?.[0]?.trim() ?? '') : null,
  })
}

function zoneName(text: string): string | null {
  const name = text.includes('zoneinfo/') ? text.slice(text.indexOf('zoneinfo/') + 'zoneinfo/'.length) : text
  return /^[A-Za-z0-9_+/-]{1,64}$/.test(name) && !name.startsWith('/') ? name : null
}

function parseMounts(frame: Frame): Reading<readonly Mount[]> {
  const mounts: Mount[] = []
  for (const line of frame.body.split('\n')) {
    const [device, path, type] = line.split(' ')
    if (device && path && type) mounts.push({ device: oneLine(unescapeMount(device)), path: unescapeMount(path), type: oneLine(type) })
  }
  return mounts.length > 0 ? readOk(mounts.slice(0, 500)) : unread('unparseable', '/proc/mounts was empty')
}

/** `/proc/mounts` writes blanks and the like as `\040`. */
const unescapeMount = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

function observeDirectory(frames: Frames, directory: DirectoryPlan): DirectoryObservation {
  return { ...directory, reading: fromFrame(frames, directory.id, (frame) => parseDirectory(frame.body)) }
}

/** Dump folders that the host's own storage configuration names and no target does. */
function foundDirectories(frames: Frames): DirectoryObservation[] {
  const listed = frames.frames.get('found')?.body.split('\n') ?? []
  return listed.flatMap((line) => {
    const match = /^(x\d) (\/.+)$/.exec(line)
    return match?.[1] && match[2] ? [observeDirectory(frames, { id: match[1], basePath: match[2], vzdump: true, globs: [] })] : []
  })
}

function observeProducer(frames: Frames, producer: ProducerPlan): ProducerObservation {
  const { id } = producer
  if (producer.kind === 'transfer') {
    const frame = frames.frames.get(id)
    if (!frame || frame.exitCode === null) return { id, reading: fromFrame(frames, id, () => unread('failed', 'no result')) }
    const lines = /^lines (\d+) readable (yes|no)$/m.exec(frame.body)
    if (!lines) return { id, reading: unread('unparseable', 'the crontabs could not be read') }
    const cronLines = Number(lines[1])
    if (cronLines === 0 && lines[2] === 'no') return { id, reading: unread('failed', 'the crontabs may not be read by this user') }
    return { id, reading: readOk({ lines: cronLines, ssh: { ok: frame.exitCode === 0, exitCode: frame.exitCode, said: lastLine(frame.errors) } }) }
  }
  const answer = frames.says.get('producer')?.find((line) => line.startsWith(`${id} `))
  if (answer === undefined) return { id, reading: unread('truncated', 'the host gave no answer to this') }
  if (producer.kind === 'timer') {
    const unitState = /^\S+ unit ([a-z-]+)$/.exec(answer)?.[1]
    return {
      id,
      reading: unitState ? readOk({ lines: unitState === 'active' ? 1 : 0, unitState }) : unread('unparseable', `systemctl said ${oneLine(answer)}`),
    }
  }
  const match = /^\S+ lines (\d+) readable (yes|no)$/.exec(answer)
  if (!match) return { id, reading: unread('unparseable', 'the crontabs could not be read') }
  if (match[1] === '0' && match[2] === 'no') return { id, reading: unread('failed', 'the crontabs may not be read by this user') }
  return { id, reading: readOk({ lines: Number(match[1]) }) }
}

const lastLine = (text: string): string => oneLine(text.trim().split('\n').at(-1) ?? '')
