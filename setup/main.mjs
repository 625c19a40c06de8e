/** `node setup/main.mjs COMMAND [arguments]`: what the npm scripts call. Does the missing set-up, then runs the command's program in this process. */
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { EXIT_USAGE, SetupFailure } from './failure.mjs'
import { root } from './folders.mjs'
import { labTree } from './lab-tree.mjs'
import { npmPackages } from './npm-packages.mjs'
import { checkMachine, checkNode, readMachine } from './preflight.mjs'
import { doMissing } from './steps.mjs'
import { LAB_TOOLS, systemPackages, TEST_TOOLS } from './system-packages.mjs'
import { temporalServer } from './temporal-server.mjs'
import { runTests } from './tests.mjs'
import { timeSkippingServer } from './time-skipping-server.mjs'

const forLab = [npmPackages, systemPackages(LAB_TOOLS), build, temporalServer, labTree]

/** @type {Record<string, { typed: string, needsMachine: boolean, steps: import('./steps.mjs').Step[], run: (args: string[]) => Promise<number | undefined> }>} */
const COMMANDS = {
  start: { typed: 'npm start', needsMachine: true, steps: forLab, run: program('dist/lab/start.js') },
  lab: { typed: 'npm run lab', needsMachine: true, steps: forLab, run: program('dist/lab/cli.js') },
  bench: { typed: 'npm run bench', needsMachine: true, steps: forLab, run: program('dist/bench/cli.js') },
  faults: { typed: 'npm run faults', needsMachine: true, steps: forLab, run: program('dist/bench/faults.js') },
  test: {
    typed: 'npm test',
    needsMachine: true,
    steps: [npmPackages, systemPackages(TEST_TOOLS), build, temporalServer, timeSkippingServer, labTree],
    run: runTests,
  },
  build: { typed: 'npm run build', needsMachine: false, steps: [npmPackages, build], run: async () => 0 },
}

/** The compiled program runs in this very process: no second start of Node, and signals reach it directly. */
function program(path) {
  return async (args) => {
    const file = join(root, path)
    process.argv = [process.argv[0], file, ...args]
    await import(pathToFileURL(file).href)
    return undefined
  }
}

async function main([name, ...args]) {
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined
  if (command === undefined) {
    throw new SetupFailure(`There is no command ${JSON.stringify(name ?? '')}.`, `node setup/main.mjs ${Object.keys(COMMANDS).join('|')}`, EXIT_USAGE)
  }
  // A root shell may lack the folders of ip, mount and mmdebstrap.
  process.env.PATH = [process.env.PATH, '/usr/sbin', '/sbin'].filter(Boolean).join(delimiter)
  const machine = readMachine()
  checkNode(machine)
  if (command.needsMachine) checkMachine(machine, command.typed)
  await doMissing(command.steps)
  return await command.run(args)
}

try {
  const code = await main(process.argv.slice(2))
  // A program that was imported sets its own exit code when it is done.
  if (code !== undefined) process.exitCode = code
} catch (error) {
  if (!(error instanceof SetupFailure)) throw error
  if (!error.alreadySaid) process.stderr.write(`${error.message}\n  → ${error.next}\n`)
  process.exitCode = error.exitCode
}
