/**
 * Natural-looking variation that is the same every time: numbers drawn from the names of the things they are for.
 * Nothing here depends on the order of the calls, so one guest's sizes do not change when another guest is added.
 */
import { createHash } from 'node:crypto'

/** A number in [0, 1) that belongs to this name. */
export function chance(...name: readonly (string | number)[]): number {
  const digest = createHash('sha256').update(name.join('\u0000')).digest()
  return digest.readUIntBE(0, 6) / 2 ** 48
}

/** 1 ± `spread`, evenly: `wobble(0.02, …)` lies between 0.98 and 1.02. */
export function wobble(spread: number, ...name: readonly (string | number)[]): number {
  return 1 + spread * (2 * chance(...name) - 1)
}

/** A UUID (version 4 in form) that belongs to this name. */
export function uuidOf(...name: readonly (string | number)[]): string {
  const hex = createHash('sha256')
    .update(['uuid', ...name].join('\u0000'))
    .digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** `BC:24:11:xx:xx:xx`: a MAC address of Proxmox' own range that belongs to this name. */
export function macOf(...name: readonly (string | number)[]): string {
  const hex = createHash('sha256')
    .update(['mac', ...name].join('\u0000'))
    .digest('hex')
    .toUpperCase()
  return ['BC', '24', '11', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4, 6)].join(':')
}
