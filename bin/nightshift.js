#!/usr/bin/env node
// The installed program. Everything else is compiled from src/ into dist/.
import('../dist/src/cli/main.js').catch((error) => {
  if (error?.code === 'ERR_MODULE_NOT_FOUND') {
    process.stderr.write(`nightshift is not built yet: ${error.message}\nRun \`npm run build\` in the checkout.\n`)
    process.exit(78)
  }
  throw error
})
