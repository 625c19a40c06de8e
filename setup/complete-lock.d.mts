export interface MissingOptional {
  readonly name: string
  readonly version: string
}
export function missingOptionals(lock: { packages: Record<string, unknown> }): MissingOptional[]
export function platformOf(name: string): { os: string[]; cpu: string[]; libc?: string[] } | undefined
