/**
 * Which folder may import which (docs/architecture.md, "Layers"). `npm run check` and test/unit/layers.test.ts run it.
 * Outwards in: cli and worker → workflows, activities → runbooks, ssh, state, temporal → domain, files.
 */
const below = (folder, allowed) => ({
  name: `${folder}-imports-only-${allowed.join('-') || 'itself'}`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^(src|lab|test|bench|setup)/', pathNot: [folder, ...allowed].map((name) => `^src/${name}/`) },
})

/** The small pure libraries that rules may use: no I/O, no clock. */
const PURE_LIBRARIES = ['@noble/hashes', 'canonicalize', 'cli-table3', 'fastest-levenshtein', 'picocolors', 'string-width', 'zod']

module.exports = {
  forbidden: [
    below('domain', []),
    below('files', []),
    below('runbooks', ['domain', 'files']),
    below('ssh', ['domain', 'files']),
    below('state', ['domain', 'files']),
    below('temporal', ['domain', 'files']),
    below('activities', ['domain', 'runbooks', 'ssh', 'state']),
    {
      name: 'domain-uses-pure-libraries-only',
      comment: 'Rules are pure: what is true and what is wanted come in as arguments.',
      severity: 'error',
      from: { path: '^src/domain/' },
      to: { dependencyTypesNot: ['local', 'type-only'], pathNot: PURE_LIBRARIES.map((name) => `(^|/)node_modules/${name}/`) },
    },
    {
      name: 'workflows-import-domain-and-activity-types',
      comment: 'Workflow code is replayed in a sandbox: it decides, it does not do. Of activities it may know the types.',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { path: '^(src|lab|test|bench|setup)/', pathNot: ['^src/workflows/', '^src/domain/'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'workflows-import-types-of-activities-only',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { path: '^src/(?!workflows/|domain/|activities/)' },
    },
    {
      name: 'workflows-use-nothing-of-node',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'the-product-does-not-know-its-proof',
      comment: 'The product does not know the lab, the tests and the benchmarks.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(lab|test|bench|setup)/' },
    },
    {
      name: 'the-lab-knows-neither-activities-nor-workflows',
      comment: 'The lab is what a real estate would be; it runs the product as a program.',
      severity: 'error',
      from: { path: '^lab/' },
      to: { path: ['^src/(activities|workflows)/', '^(test|bench)/'] },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'no-unresolved-imports', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-undeclared-packages',
      comment: 'What is imported stands in package.json.',
      severity: 'error',
      from: { path: '^(src|lab|bench)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'the-product-needs-no-development-packages',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules/\\.)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.test.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
}
