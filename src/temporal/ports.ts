/** Is a TCP port free, and who holds it if not? Read from /proc, so that an error can name the program to stop. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'

/** Who listens on a port. */
export interface PortHolder {
  readonly pid: number
  readonly command: string
}

/**
 * Tries to listen on the port for a moment.
 * @returns the error code that came back (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`), or undefined when the port is free
 */
export async function whyPortIsNotFree(ip: string, port: number): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host: ip, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** A free port of the loopback interface, chosen by the kernel. */
export async function anyFreePort(ip = '127.0.0.1'): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host: ip, port: 0 }, () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}

/** Finds the process that listens on the port, or undefined when it cannot be seen (another user's, another container's). */
export async function portHolder(port: number): Promise<PortHolder | undefined> {
  const inodes = await listeningInodes(port)
  if (inodes.size === 0) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    if (await holdsSocket(pid, inodes)) {
      const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
      return { pid: Number(pid), command: command.trim() || 'unknown' }
    }
  }
  return undefined
}

/** Socket inodes in state LISTEN (0A) on the port; columns as in proc(5) `/proc/net/tcp`. */
async function listeningInodes(port: number): Promise<Set<string>> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '')
    for (const line of text.split('\n').slice(1)) {
      const columns = line.trim().split(/\s+/)
      if (columns[1]?.endsWith(`:${wanted}`) && columns[3] === '0A' && columns[9] !== undefined) inodes.add(columns[9])
    }
  }
  return inodes
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}
