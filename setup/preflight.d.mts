export interface MachineFacts {
  readonly platform: string
  readonly nodeVersion: string
  /** -1 where there are no user ids. */
  readonly uid: number
  readonly osRelease: string
  readonly hasAptGet: boolean
  readonly filesystems: string
  /** Why namespaces cannot be made here; undefined when they can, or when we are not root. */
  readonly namespaces: string | undefined
}
export function readMachine(): MachineFacts
export function checkNode(facts: MachineFacts): void
export function checkMachine(facts: MachineFacts, command: string): void
