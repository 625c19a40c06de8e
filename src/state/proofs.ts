/**
 * How well each backup artifact is proven. Another file under the same name (another size or time) is another artifact with no proof at all;
 * lost state means level 0 for everything, never more.
 */
import { column, integer, type Table, text } from './table.js'

/** 0 listed · 1 complete · 2 readable · 3 restored · 4 probed. */
export type ProofLevel = 0 | 1 | 2 | 3 | 4

/** Which artifact: `volid` as the host names it (`storage:backup/vzdump-…`). */
export interface ProofKey {
  readonly site: string
  readonly volid: string
  readonly sizeBytes: number
  /** Instant (UTC) of the file's mtime. */
  readonly modifiedAt: string
}

export interface Proof extends ProofKey {
  readonly level: ProofLevel
  /** Hex, over the archive as it lies on the storage; null below level 2. */
  readonly sha256: string | null
  readonly provenAt: string
}

export class Proofs {
  constructor(private readonly table: Table) {}

  /**
   * Keeps a proof. A level is never lowered by a lesser proof of the same artifact; `putDamaged` does that.
   * @throws StateWriteFailed
   */
  put(proof: Proof): void {
    const { site, volid, sizeBytes, modifiedAt, level, sha256, provenAt } = proof
    this.table.write(
      `INSERT INTO proofs (site, volid, size_bytes, modified_at, level, sha256, proven_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET level = excluded.level, sha256 = coalesce(excluded.sha256, sha256), proven_at = excluded.proven_at WHERE excluded.level >= level`,
      [site, volid, sizeBytes, modifiedAt, level, sha256, provenAt],
    )
  }

  /** The artifact was found damaged: whatever was proven before holds no more. @throws StateWriteFailed */
  putDamaged(key: ProofKey, foundAt: string): void {
    this.table.write('INSERT OR REPLACE INTO proofs (site, volid, size_bytes, modified_at, level, sha256, proven_at) VALUES (?, ?, ?, ?, 0, NULL, ?)', [
      key.site,
      key.volid,
      key.sizeBytes,
      key.modifiedAt,
      foundAt,
    ])
  }

  /** What is known of exactly this artifact; undefined = listed at most. */
  get(key: ProofKey): Proof | undefined {
    const [row] = this.table.read('SELECT * FROM proofs WHERE site = ? AND volid = ? AND size_bytes = ? AND modified_at = ?', [
      key.site,
      key.volid,
      key.sizeBytes,
      key.modifiedAt,
    ])
    return row === undefined ? undefined : proofOf(row)
  }

  /** All proofs of a site, newest first. */
  list(site: string): Proof[] {
    return this.table.read('SELECT * FROM proofs WHERE site = ? ORDER BY proven_at DESC, volid', [site]).map(proofOf)
  }
}

function proofOf(row: unknown): Proof {
  const sha256 = column(row, 'sha256')
  return {
    site: text(row, 'site'),
    volid: text(row, 'volid'),
    sizeBytes: integer(row, 'size_bytes'),
    modifiedAt: text(row, 'modified_at'),
    level: integer(row, 'level') as ProofLevel,
    sha256: typeof sha256 === 'string' ? sha256 : null,
    provenAt: text(row, 'proven_at'),
  }
}
