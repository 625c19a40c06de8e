/** Runbook files: schemas, loader, edits, and references to secrets. Everything that other parts may use is exported here. */
export { EditConflict, editYamlFile, editYamlText, findRow, readForEdit } from './edit.js'
export { knownSecrets } from './known-secrets.js'
export { type LoadedRunbooks, loadRunbooks, parseRunbooks, type RunbookFileName, type RunbookTexts } from './loader.js'
export { CLASS_LIMIT_HOURS } from './normalise.js'
export { formatProblem, formatRunbookErrors, RunbookErrors, type RunbookProblem } from './problems.js'
export { isSecretKey, isSecretReference, parseSecretReference, resolveSecret, SecretError, type SecretReference } from './secret-reference.js'
