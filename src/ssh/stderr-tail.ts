/** The end of what a host said, made fit for an error message: bounded, readable, without control characters and without our own command. */
import { RUN_SCRIPT_START } from './remote-command.js'

const SHOWN_BYTES = 2048
/** More is kept than shown, so that a secret at the edge is still whole when the redaction looks for it. */
const KEPT_BYTES = 4 * SHOWN_BYTES

/** Adds a piece and keeps the last 8 KiB. */
export function tailOf(tail: Buffer, chunk: Buffer): Buffer {
  const all = Buffer.concat([tail, chunk])
  return all.length <= KEPT_BYTES ? all : Buffer.from(all.subarray(all.length - KEPT_BYTES))
}

/** The last 2 KiB as text, redacted: colours are dropped, other control characters and what is no UTF-8 become U+FFFD. */
export function readable(bytes: Buffer, redact: (text: string) => string = (text) => text): string {
  const text = bytes
    .toString('utf8')
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd')
  return Buffer.from(redact(text).trim()).subarray(-SHOWN_BYTES).toString('utf8')
}

/** A shell that complains may quote the whole command, arguments and all: that part is left out. */
export function withoutCommand(said: Buffer): Buffer {
  const at = said.indexOf(RUN_SCRIPT_START)
  return at < 0 ? said : Buffer.concat([said.subarray(0, at), Buffer.from('… (the command)')])
}
