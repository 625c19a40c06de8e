/**
 * Temporal's time-skipping test server, in the cache folder: the Java program that lets a test wait three weeks in a second.
 * Maven fetches it as `tools/test-server/pom.xml` pins it. Only tests use it.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './command.mjs'
import { timeSkippingServer as program, root } from './folders.mjs'

const POM = join(root, 'tools/test-server/pom.xml')

/** The SDK gives the server five seconds to answer: these flags make a cold start of the JVM take one. `exec`, because the SDK kills what it started. */
const START = `#!/bin/sh
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx256m -cp "$(dirname "$0")/jars/*" io.temporal.testserver.TestServer "$@"
`

export const timeSkippingServer = {
  name: 'time-skipping test server',
  isDone: () => existsSync(program()) && sameText(join(dirname(program()), 'pom.xml')),
  async run(say) {
    const folder = dirname(program())
    mkdirSync(dirname(folder), { recursive: true })
    const made = mkdtempSync(`${folder}.`)
    try {
      const args = ['--batch-mode', '--quiet', '--strict-checksums', '--file', POM, 'dependency:copy-dependencies']
      say('fetching it with Maven')
      await run('mvn', [...args, `-DoutputDirectory=${join(made, 'jars')}`, '-DincludeScope=runtime'], { say, next: 'check that Maven reaches its registry' })
      writeFileSync(join(made, 'temporal-test-server'), START)
      chmodSync(join(made, 'temporal-test-server'), 0o755)
      writeFileSync(join(made, 'pom.xml'), readFileSync(POM))
      rmSync(folder, { recursive: true, force: true })
      renameSync(made, folder)
    } finally {
      rmSync(made, { recursive: true, force: true })
    }
  },
}

function sameText(copy) {
  return existsSync(copy) && readFileSync(copy, 'utf8') === readFileSync(POM, 'utf8')
}
