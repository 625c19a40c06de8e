/** Every function exported here is a workflow type; nothing else may be. */

export { alertCanary } from './alert-canary.js'
export { alertDesk } from './alert-desk.js'
export { applyChange } from './apply-change.js'
export { awaitFirstArtifacts } from './await-first-artifacts.js'
export { backupMonitor } from './backup-monitor.js'
export { driftGates } from './drift-gates.js'
export { emailRelay } from './email-relay.js'
export { retentionPrune } from './retention-prune.js'
export { verifyArtifact } from './verify-artifact.js'
export { vzdumpEnrollment } from './vzdump-enrollment.js'
export { vzdumpJobs } from './vzdump-jobs.js'
