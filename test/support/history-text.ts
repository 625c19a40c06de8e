/** Everything that a history holds, as text: payloads are bytes, and a reading is packed in them, so that a search of the events themselves finds nothing. */
import { gunzipSync } from 'node:zlib'

/** @param value events of a history, or a part of them */
export function historyText(value: unknown): string {
  if (value instanceof Uint8Array) {
    const text = Buffer.from(value).toString()
    const packed = [...text.matchAll(/H4sI[A-Za-z0-9+/]+=*/g)].map(([base64]) => gunzipSync(Buffer.from(base64, 'base64')).toString())
    return [text, ...packed].join('\n')
  }
  if (typeof value === 'string') return value
  return typeof value === 'object' && value !== null ? Object.values(value).map(historyText).join('\n') : ''
}
