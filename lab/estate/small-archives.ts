/**
 * Real little archives, made in memory: tar (POSIX ustar) and zip (deflated entries). Enough that `tar -t` and `unzip -t` read them.
 */
import { deflateRawSync } from 'node:zlib'

export interface Entry {
  readonly name: string
  readonly content: string
  /** Seconds since 1970. */
  readonly mtime: number
}

/** IEEE Std 1003.1 (pax), "ustar Interchange Format". */
export function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, content, mtime }) => {
    const body = Buffer.from(content)
    const header = Buffer.alloc(512)
    const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
    header.write(name, 0, 100)
    header.write(octal(0o644, 8), 100)
    header.write(octal(0, 8), 108)
    header.write(octal(0, 8), 116)
    header.write(octal(body.length, 12), 124)
    header.write(octal(mtime, 12), 136)
    header.write('        ', 148)
    header.write('0ustar\u000000', 156)
    header.write('root', 265)
    header.write('root', 297)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]
  })
  const tar = Buffer.concat([...blocks, Buffer.alloc(1024)])
  return Buffer.concat([tar, Buffer.alloc((10240 - (tar.length % 10240)) % 10240)])
}

/** PKWARE APPNOTE 4.3: local headers with their data, central directory, end record. */
export function zipOf(entries: readonly Entry[]): Buffer {
  let offset = 0
  const locals: Buffer[] = []
  const central: Buffer[] = []
  for (const { name, content } of entries) {
    const plain = Buffer.from(content)
    const body = deflateRawSync(plain)
    const label = Buffer.from(name)
    const shared = Buffer.alloc(26)
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(8, 4)
    shared.writeUInt16LE(0x21, 8) // 1 January 1980: the entries' own times do not matter here
    shared.writeUInt32LE(crc32(plain), 10)
    shared.writeUInt32LE(body.length, 14)
    shared.writeUInt32LE(plain.length, 18)
    shared.writeUInt16LE(label.length, 22)
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), shared, label, body])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    central.push(Buffer.concat([Buffer.from('PK\u0001\u0002'), Buffer.from([20, 0]), shared, tail, label]))
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006', 0, 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value >>> 0
})

/** ISO 3309; Node has its own only since 20.15. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0)
  return (crc ^ 0xffffffff) >>> 0
}
