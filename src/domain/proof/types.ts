/** What is asked about one archive, and what comes back. Times are seconds of the host's clock. */

/** How a site activity reaches a Proxmox host: everything that a worker with nothing but SSH keys needs. */
export interface HostRoute {
  readonly host: string
  readonly site: string
  readonly sshAlias: string
  readonly sudo: boolean
  readonly node: string
  /** Task queue of the site's own worker; absent = the common one. */
  readonly taskQueue?: string
}

/** An archive as it lies on its storage; another size or time is another archive. */
export interface ArtifactFile {
  readonly volid: string
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedSeconds: number
}

/** Level 1: is it there, and complete by everything that stands beside it? */
export type Completeness =
  | { readonly state: 'complete'; readonly file: ArtifactFile }
  | { readonly state: 'incomplete'; readonly file: ArtifactFile; readonly why: string }
  | { readonly state: 'absent'; readonly why: string }
  | { readonly state: 'unknown'; readonly why: string }

/** Level 2 as the host tells it: every byte read, decompressed and checked by the format's own program. */
export type Readability =
  | { readonly state: 'running'; readonly readBytes: number; readonly sizeBytes: number }
  /** Not begun: another archive of that storage is being read, or a backup runs or is about to. */
  | { readonly state: 'waiting'; readonly why: string }
  | { readonly state: 'readable'; readonly sha256: string; readonly seconds: number }
  | { readonly state: 'damaged'; readonly why: string }
  /** It could not be found out: a program is missing, the storage did not answer, the reading was killed again and again. */
  | { readonly state: 'unknown'; readonly why: string }

/** The end of a proof. */
export interface ProofResult {
  readonly outcome: 'proven' | 'damaged' | 'unknown'
  /** 2 when proven, 0 when damaged; what is certain when unknown. */
  readonly level: 0 | 1 | 2
  /** One sentence with the true cause. */
  readonly message: string
  readonly file: ArtifactFile | null
  readonly sha256: string | null
}
