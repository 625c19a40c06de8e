/** The layers of docs/architecture.md hold, and the check of them sees what breaks them. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/temporal/package-root.js'

const root = packageRoot()
const FOLDERS = ['src', 'lab', 'bench', 'test'].filter((name) => existsSync(join(root, name)))

interface Violation {
  readonly from: string
  readonly to: string
  readonly rule: { readonly name: string }
}

function violations(folder: string): Violation[] {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const run = spawnSync(process.execPath, [program, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...FOLDERS], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  })
  if (run.stdout === '') throw new Error(run.stderr)
  const result = JSON.parse(run.stdout) as { summary: { violations: Violation[]; totalCruised: number } }
  expect(result.summary.totalCruised).toBeGreaterThan(50)
  return result.summary.violations
}

/** One import that each rule must see; the file is named for the rule it breaks. */
const WRONG: readonly [path: string, text: string, rule: string][] = [
  ['src/domain/bad-node.ts', `import 'node:fs'`, 'domain-uses-pure-libraries-only'],
  ['src/domain/bad-library.ts', `import 'ssh2'`, 'domain-uses-pure-libraries-only'],
  ['src/domain/bad-layer.ts', `import '../ssh/index.js'`, 'domain-imports-only-itself'],
  ['src/runbooks/bad.ts', `import '../ssh/index.js'`, 'runbooks-imports-only-domain-files'],
  ['src/ssh/bad.ts', `import '../state/index.js'`, 'ssh-imports-only-domain-files'],
  ['src/state/bad.ts', `import '../runbooks/index.js'`, 'state-imports-only-domain-files'],
  ['src/temporal/bad.ts', `import '../runbooks/index.js'`, 'temporal-imports-only-domain-files'],
  ['src/activities/bad.ts', `import '../temporal/connection.js'`, 'activities-imports-only-domain-runbooks-ssh-state'],
  [
    'src/workflows/bad-value.ts',
    `import { createSiteActivities } from '../activities/monitor.js'\nexport const x = createSiteActivities`,
    'workflows-import-domain-and-activity-types',
  ],
  ['src/workflows/bad-type.ts', `import type { SshPool } from '../ssh/index.js'\nexport type X = SshPool`, 'workflows-import-types-of-activities-only'],
  ['src/workflows/bad-node.ts', `import 'node:crypto'`, 'workflows-use-nothing-of-node'],
  ['src/cli/bad-lab.ts', `import '../../lab/names.js'`, 'the-product-does-not-know-its-proof'],
  ['lab/bad.ts', `import '../src/activities/monitor.js'`, 'the-lab-knows-neither-activities-nor-workflows'],
  ['bench/bad.ts', `import '../test/support/compose.js'`, 'nothing-imports-tests'],
  ['src/cli/bad-circle-back.ts', `import './bad-circle.js'`, 'no-circles'],
  ['src/cli/bad-missing.ts', `import './not-there.js'`, 'no-unresolved-imports'],
  ['src/cli/bad-undeclared.ts', `import '@grpc/grpc-js'`, 'no-undeclared-packages'],
  ['src/cli/bad-development.ts', `import 'fast-check'`, 'the-product-needs-no-development-packages'],
]

const ADDED = [...WRONG.map(([path]) => path), 'src/cli/bad-circle.ts', 'src/workflows/good.ts']

describe('imports', () => {
  let seen: Violation[]

  // One look at a copy that has all of the code, and beside it what breaks each rule: a look costs five seconds.
  beforeAll(() => {
    const copy = mkdtempSync(join(tmpdir(), 'nightshift-layers-'))
    try {
      for (const name of [...FOLDERS, 'setup', '.dependency-cruiser.cjs', 'package.json', 'tsconfig.json', 'tsconfig.test.json'])
        cpSync(join(root, name), join(copy, name), { recursive: true })
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
      for (const [path, text] of WRONG) writeFileSync(join(copy, path), `${text}\n`)
      writeFileSync(join(copy, 'src/cli/bad-circle.ts'), `import './bad-circle-back.js'\n`)
      writeFileSync(
        join(copy, 'src/workflows/good.ts'),
        `import type { MonitorActivities } from '../activities/monitor.js'\nexport type X = MonitorActivities\n`,
      )
      seen = violations(copy)
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  }, 120_000)

  it('obey the layers', () => {
    expect(seen.filter(({ from }) => !ADDED.includes(from)).map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`)).toEqual([])
  })

  it('that break a rule are seen, each by its rule', () => {
    const lines = seen.map(({ from, rule }) => `${from}: ${rule.name}`)
    expect(WRONG.map(([path, , rule]) => `${path}: ${rule}`).filter((line) => !lines.includes(line))).toEqual([])
    expect(lines.filter((line) => line.startsWith('src/workflows/good.ts'))).toEqual([])
  })
})
