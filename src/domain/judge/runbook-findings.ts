/** What is wrong with the runbook files themselves becomes part of the status: a broken file must not be silent. */
import { type Finding, type StatusDocument, worstSeverity } from '../status.js'

/** Most problems that are written out; the rest is counted. */
const MOST_PROBLEMS_SAID = 5

/**
 * Adds the findings about the runbook files to a judged status.
 * @param files `warnings`: lines about keys that look mistyped and the like; `problem`: the files on disk are broken and older ones are in force
 */
export function withRunbookFindings(
  status: StatusDocument,
  files: { readonly warnings: readonly string[]; readonly problem?: { readonly errors: readonly string[]; readonly inForceSince: string } | undefined },
): StatusDocument {
  const findings: Finding[] = []
  if (files.problem !== undefined) {
    const { errors, inForceSince } = files.problem
    findings.push({
      subject: `${status.estate}/monitor/runbooks`,
      condition: 'config',
      severity: 'critical',
      reason: 'runbooks_broken',
      message: `the runbook files are broken, so those of ${inForceSince} stay in force: ${said(errors)}`,
      next: 'mend the file; the next pass takes it up by itself (`nightshift doctor` checks it now)',
    })
  }
  if (files.warnings.length > 0) {
    findings.push({
      subject: `${status.estate}/monitor/runbooks`,
      condition: 'config',
      severity: 'warning',
      reason: 'runbooks_doubtful',
      message: `the runbook files have ${files.warnings.length} doubtful ${files.warnings.length === 1 ? 'place' : 'places'}: ${said(files.warnings)}`,
      next: 'correct the named lines',
    })
  }
  return withFindings(status, findings)
}

/** Adds findings about nightshift itself to a judged status; they count for the verdict like any other. */
export function withFindings(status: StatusDocument, findings: readonly Finding[]): StatusDocument {
  if (findings.length === 0) return status
  return {
    ...status,
    findings: worstFirst([...findings, ...status.findings]),
    verdict: worstSeverity([status.verdict, ...findings.map((finding) => finding.severity)]),
  }
}

function worstFirst(findings: readonly Finding[]): Finding[] {
  const order = ['critical', 'unknown', 'warning', 'ok']
  return [...findings].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
}

/** The pass is published but left no evidence: no signing key, no room, a chain that cannot be read. */
export function receiptNotWritten(estate: string, cause: string): Finding {
  return {
    subject: `${estate}/monitor/receipts`,
    condition: 'config',
    severity: 'warning',
    reason: 'receipt_not_written',
    message: `the receipt of this pass could not be written: ${cause}`,
    next: '`nightshift doctor` checks signing key, state folder and chain; the next pass writes what is due',
  }
}

function said(problems: readonly string[]): string {
  const left = problems.length - MOST_PROBLEMS_SAID
  return problems.slice(0, MOST_PROBLEMS_SAID).join('; ') + (left > 0 ? `; and ${left} more` : '')
}
