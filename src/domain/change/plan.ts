/**
 * A change as data: what a changing runbook wants to do, step by step, before anybody approves it.
 *
 * Two plans are the same when `planDigest` says so. The digest covers what is done, on the condition of what, and how it is undone; not the words,
 * not the clock, not free space: the same plan made again tomorrow keeps its approval.
 */
import { canonicalJson, sha256Hex } from '../canonical.js'

/** More steps than a person can read are no plan. */
export const MOST_STEPS = 200

/** A JSON value as it travels between the parts. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/**
 * A fact about a host that is read in the same remote command as the effect. `null` means: not there.
 * Values are compared in canonical form; members of `sets` are split at `,` `;` and blanks, and compared without order.
 */
export type Check =
  /** Members of the object that `pvesh get PATH` answers; `fields: null`: the object does not exist. Members that are not named do not count. */
  | { readonly kind: 'api'; readonly path: string; readonly fields: Readonly<Record<string, Json>> | null; readonly sets?: readonly string[] }
  /** One row of the list that `pvesh get PATH` answers, found by `where`; `fields: null`: there is no such row. */
  | {
      readonly kind: 'row'
      readonly path: string
      readonly where: Readonly<Record<string, Json>>
      readonly fields: Readonly<Record<string, Json>> | null
      readonly sets?: readonly string[]
    }
  /** A file's content by SHA-256 (hex), and its permissions (octal) where given; `sha256: null`: there is no such file. */
  | { readonly kind: 'file'; readonly path: string; readonly sha256: string | null; readonly mode?: string }
  /**
   * A file that holds a secret: `content` has references (`{{secret:env:NAME}}`), which the worker resolves; the host compares and says only whether it is the same.
   * Neither the secret nor its hash comes into a plan, a history or a receipt.
   */
  | { readonly kind: 'secret-file'; readonly path: string; readonly content: string; readonly mode: string }
  /** What a reading program prints, without white space at both ends. */
  | { readonly kind: 'command'; readonly argv: readonly string[]; readonly stdout: string }
  /** A backup archive, exactly as it was listed; `artifact: null`: it is gone. `modifiedAtSeconds` is the epoch of its mtime. */
  | {
      readonly kind: 'artifact'
      readonly path: string
      readonly artifact: { readonly sizeBytes: number; readonly modifiedAtSeconds: number; readonly protected: boolean } | null
      /** The storage's mount point, when it must be one: an archive "gone" from an unmounted folder is not gone. */
      readonly mountedAt?: string
    }
  /** What stands at a path of a runbook file (null: nothing); with `set`, a list without order. Read by the worker that owns the files. */
  | { readonly kind: 'runbook'; readonly file: RunbookFile; readonly path: readonly PathPart[]; readonly value: Json; readonly set?: boolean }

export type RunbookFile = 'vzdump' | 'inventory' | 'calendar' | 'estate'

/** What a step does. */
export type Effect =
  /**
   * A program on the host; `stdin` may hold references to secrets (`{{secret:env:NAME}}`), which the worker resolves. `{{sha256:PATH}}` (or `sha1`) as an
   * argument is the file's hash as it was before anything was compared: where Proxmox takes a digest, this makes comparing and setting one.
   */
  | { readonly kind: 'command'; readonly argv: readonly string[]; readonly stdin?: string }
  /** A whole file, replaced durably. `secret` members of `content` are written `{{secret:env:NAME}}` and resolved by the worker. */
  | { readonly kind: 'write-file'; readonly path: string; readonly mode: string; readonly content: string }
  | { readonly kind: 'remove-file'; readonly path: string }
  /** An edit of a runbook file that keeps comments and order. `value: null` removes. Edits of one step are one replacement of the file. */
  | { readonly kind: 'runbook'; readonly file: RunbookFile; readonly edits: readonly RunbookEdit[] }

export type RunbookEdit =
  /** Sets (or, with `null`, removes) what stands at `path`; a member `{key, value}` in a path finds the row of a list. */
  | { readonly op: 'set'; readonly path: readonly PathPart[]; readonly value: Json }
  | { readonly op: 'add-to-list'; readonly path: readonly PathPart[]; readonly values: readonly Json[] }
  | { readonly op: 'remove-from-list'; readonly path: readonly PathPart[]; readonly values: readonly Json[] }

/** A key, an index, or the row of a list whose `key` has this `value`. */
export type PathPart = string | number | { readonly key: string; readonly value: Json }

/** An artifact that a step removes, or that a later run would remove because of it: what the host's own dry run said. */
export interface RemovedArtifact {
  readonly storage: string
  readonly volid: string
  readonly vmid: number | null
  readonly sizeBytes: number | null
  readonly createdAt: string | null
}

export type Destructive = 'deletes data' | 'lets a later run delete data' | 'lessens protection'

export interface PlanStep {
  /** Unique in the plan, stable from one planning to the next: `set job backup-home-p0-daily`. */
  readonly id: string
  /** One sentence for the person who approves. */
  readonly what: string
  /** Host of `estate.yaml`; null = the runbook files of the home worker. */
  readonly host: string | null
  readonly effect: Effect
  readonly destructive: readonly Destructive[]
  /** What must be true right before the effect; else the world has moved and nothing is done. */
  readonly before: readonly Check[]
  /** What is true once the effect took place. When it holds before the effect, the effect took place already. */
  readonly after: readonly Check[]
  /** Brings `before` back. `none` says in words why nothing can. */
  readonly undo: { readonly effect: Effect } | { readonly none: string }
  /** For people: field by field, null = not set. */
  readonly diff: readonly { readonly field: string; readonly from: Json; readonly to: Json }[]
  readonly removes: readonly RemovedArtifact[]
}

/** Something to read before approving; never part of the digest. */
export interface PlanWarning {
  readonly code: string
  readonly message: string
}

export interface ChangePlan {
  readonly runbook: string
  /** The host whose `apply/<host>` it runs under. */
  readonly host: string
  /** One line: what this plan is for. */
  readonly title: string
  readonly steps: readonly PlanStep[]
  readonly warnings: readonly PlanWarning[]
  /** Facts for people, of no consequence (bytes freed, next run, …). */
  readonly facts: Readonly<Record<string, Json>>
  readonly digest: string
}

/** A plan without its digest, as planners build it. */
export type PlanDraft = Omit<ChangePlan, 'digest'>

/** @throws RangeError for more than 200 steps, and for two steps of one id */
export function sealPlan(draft: PlanDraft): ChangePlan {
  if (draft.steps.length > MOST_STEPS) {
    throw new RangeError(`the plan of ${draft.runbook} for ${draft.host} has ${draft.steps.length} steps, more than ${MOST_STEPS}: narrow its input`)
  }
  const ids = draft.steps.map((step) => step.id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) throw new RangeError(`the plan of ${draft.runbook} for ${draft.host} has two steps "${twice}"`)
  return { ...draft, digest: planDigest(draft) }
}

/** SHA-256 (hex) over the RFC 8785 form of what the plan does and on which condition. */
export function planDigest(draft: PlanDraft): string {
  const steps = draft.steps.map(({ id, host, effect, destructive, before, after, undo, removes }) => ({
    id,
    host,
    effect,
    destructive: [...destructive].sort(),
    before: before.map(sorted),
    after: after.map(sorted),
    undo,
    removes: [...removes].map(({ storage, volid }) => ({ storage, volid })).sort((a, b) => (a.volid < b.volid ? -1 : 1)),
  }))
  return sha256Hex(canonicalJson({ runbook: draft.runbook, host: draft.host, steps }))
}

/** True when a person has to say yes whatever the policy. */
export function isDestructive(plan: Pick<ChangePlan, 'steps'>): boolean {
  return plan.steps.some((step) => step.destructive.length > 0)
}

/** Members that are sets lose their order, so that it does not change the digest. */
function sorted(check: Check): Check {
  if ((check.kind !== 'api' && check.kind !== 'row') || check.fields === null) return check
  const names = check.sets ?? []
  const fields = Object.fromEntries(Object.entries(check.fields).map(([name, value]) => [name, names.includes(name) ? asSet(value) : value]))
  return { ...check, fields, sets: [...names].sort() }
}

/** The members of a list that Proxmox writes as text, sorted; anything else as it is. */
export function asSet(value: Json): Json {
  if (typeof value !== 'string' && typeof value !== 'number') return value
  return String(value)
    .split(/[\s,;]+/)
    .filter((part) => part !== '')
    .sort()
}
