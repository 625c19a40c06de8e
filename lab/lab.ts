/** A lab that exists: its record, its folders, its hosts. Made by `up.ts`, removed by `down.ts`. */
import { HOSTS } from './catalog.js'
import { LabError } from './errors.js'
import { LabHost } from './host.js'
import { checkLabName, type LabPaths, labPaths } from './names.js'
import { hostAddress } from './network.js'
import { type LabRecord, readRecord, writeRecord } from './record.js'

export class Lab {
  readonly name: string
  readonly paths: LabPaths
  /** By the inventory's host names, in the catalog's order. */
  readonly hosts: ReadonlyMap<string, LabHost>
  #record: LabRecord

  constructor(record: LabRecord) {
    this.#record = record
    this.name = record.name
    this.paths = labPaths(record.name)
    const hosts = HOSTS.flatMap((spec, index) => {
      if (!record.hosts.includes(spec.name)) return []
      const place = { labName: record.name, spec, index, subnet: record.subnet, address: hostAddress(record.subnet, index), tree: record.tree }
      return [[spec.name, new LabHost(place)] as const]
    })
    this.hosts = new Map(hosts)
  }

  get record(): LabRecord {
    return this.#record
  }

  setRecord(change: Partial<Pick<LabRecord, 'state' | 'hurt' | 'hosts'>>): void {
    this.#record = { ...this.#record, ...change }
    writeRecord(this.#record)
  }

  /** @throws LabError `usage` when the lab has no host of this name */
  host(name: string): LabHost {
    const host = this.hosts.get(name)
    if (host !== undefined) return host
    throw new LabError('usage', `the lab "${this.name}" has no host "${name}"`, `its hosts: ${[...this.hosts.keys()].join(', ')}`)
  }
}

/** @throws LabError `config` when there is no such lab */
export async function openLab(name: string): Promise<Lab> {
  const record = readRecord(labPaths(checkLabName(name)))
  if (record === undefined) throw new LabError('config', `there is no lab "${name}"`, `npm run lab -- --lab ${name} up`)
  return new Lab(record)
}
