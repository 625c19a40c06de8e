/** The runbooks whose faults can be tried, by the name of their workflow. */
import type { FaultScenario } from '../fault-scenario.js'
import { alertDeskFaults } from './alert-desk.js'
import { backupMonitorFaults } from './backup-monitor.js'
import { emailRelayFaults } from './email-relay.js'
import { retentionPruneFaults } from './retention-prune.js'
import { vzdumpEnrollmentFaults } from './vzdump-enrollment.js'
import { vzdumpJobsFaults } from './vzdump-jobs.js'

export const FAULT_SCENARIOS: Readonly<Record<string, FaultScenario>> = {
  alertDesk: alertDeskFaults,
  backupMonitor: backupMonitorFaults,
  emailRelay: emailRelayFaults,
  retentionPrune: retentionPruneFaults,
  vzdumpEnrollment: vzdumpEnrollmentFaults,
  vzdumpJobs: vzdumpJobsFaults,
}
