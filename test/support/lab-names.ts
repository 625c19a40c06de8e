/** How labs of tests are called: every name says of which checkout it is. */
import { createHash } from 'node:crypto'
import { packageRoot } from '../../src/temporal/package-root.js'

/** What the names of all labs of this checkout's tests begin with. */
export const LAB_PREFIX = `test-${createHash('sha256').update(packageRoot()).digest('hex').slice(0, 6)}`

/** The name of a lab that a test makes. @param name at most 19 characters, so that a lab may be called so */
export const labName = (name: string): string => `${LAB_PREFIX}-${name}`
