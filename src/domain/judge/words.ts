/** Figures as people say them: ages, sizes, times of day. */
import { localTime } from './zone.js'

/** `26 h 14 m`, `9 d 4 h`, `12 m`, `40 s`; with `withSeconds` `26 h 00 m 01 s`. */
export function ageInWords(seconds: number, withSeconds = false): string {
  const whole = Math.max(0, Math.floor(seconds))
  const days = Math.floor(whole / 86_400)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  const rest = whole % 60
  const two = (value: number): string => String(value).padStart(2, '0')
  if (withSeconds && hours >= 1) return `${hours} h ${two(minutes)} m ${two(rest)} s`
  if (days >= 10) return `${days} d`
  if (days >= 4) return `${days} d ${hours - days * 24} h`
  if (hours >= 1) return `${hours} h ${two(minutes)} m`
  if (minutes >= 1) return `${minutes} m`
  return `${whole} s`
}

/** Limits are whole hours mostly: `26 h`, `7 d` (from 72 h), else like an age. */
export function limitInWords(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600} h`
  return ageInWords(seconds)
}

/** `34.0 GB`; powers of 1024 like Proxmox prints them. */
export function sizeInWords(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${bytes} B` : `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ''}`
}

/** `2026-02-12 03:00` in that zone. */
export function timeInWords(seconds: number, zone: string): string {
  const local = localTime(seconds, zone)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${local.year}-${two(local.month)}-${two(local.day)} ${two(local.hour)}:${two(local.minute)}`
}

/** `a`, `a and b`, `a, b and c`; at most `most` are named. */
export function listInWords(items: readonly string[], most = 6): string {
  if (items.length > most) return `${items.slice(0, most).join(', ')} and ${items.length - most} more`
  return items.length <= 1 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}
