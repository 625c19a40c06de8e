export interface Step {
  readonly name: string
  readonly isDone: () => boolean | Promise<boolean>
  readonly run: (say: (line: string) => void) => Promise<void>
}
export function doMissing(steps: readonly Step[]): Promise<void>
