/**
 * `node sdk-download.js FOLDER`: lets the SDK download the Temporal CLI into FOLDER, the only way to reach its downloader being to start
 * a test server with it. Run in a process of its own by `server-binary.ts`, so that it can be given a time limit.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { TEMPORAL_CLI_VERSION } from './server-version.js'

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  process.stderr.write('usage: sdk-download FOLDER\n')
  process.exit(64)
}
try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir: folder, version: `v${TEMPORAL_CLI_VERSION}` }, log: { format: 'json', level: 'error' } },
  })
  await environment.teardown()
} catch (error) {
  process.stderr.write(`${(error instanceof Error ? error.message : String(error)).split('\n').join(' ')}\n`)
  process.exitCode = 1
}
