/** Every function exported here is a workflow type; nothing else may be. */

export { alertDesk } from './alert-desk.js'
export { applyChange } from './apply-change.js'
export { backupMonitor } from './backup-monitor.js'
export { retentionPrune } from './retention-prune.js'
export { verifyArtifact } from './verify-artifact.js'
export { vzdumpJobs } from './vzdump-jobs.js'
