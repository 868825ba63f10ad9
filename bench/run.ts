import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { BenchModule, BenchOptions } from './bench.js';

/** Every benchmark by name, imported on demand. */
const BENCHES: Record<string, () => Promise<BenchModule>> = {
  access: () => import('./access.js'),
  abuse: () => import('./abuse.js'),
  batching: () => import('./batching.js'),
  cache: () => import('./cache.js'),
  cancel: () => import('./cancel.js'),
  contract: () => import('./contract.js'),
  devices: () => import('./devices.js'),
  engine: () => import('./engine.js'),
  exactness: () => import('./exactness.js'),
  image: () => import('./image.js'),
  import: () => import('./import.js'),
  int8: () => import('./int8.js'),
  interactive: () => import('./interactive.js'),
  memory: () => import('./memory.js'),
  'memory-bound': () => import('./memory-bound.js'),
  notebook: () => import('./notebook.js'),
  packages: () => import('./packages.js'),
  pipeline: () => import('./pipeline.js'),
  resume: () => import('./resume.js'),
  rivals: () => import('./rivals.js'),
  soak: () => import('./soak.js'),
  stacks: () => import('./stacks.js'),
  statistics: () => import('./statistics.js'),
  'train-step': () => import('./train-step.js'),
  tuning: () => import('./tuning.js'),
};

const [name = '', ...flags] = process.argv.slice(2);
const load = BENCHES[name];
if (!load) exitWithUsage();
const { bench, options = {} } = await load();
const { json, ...values } = parseFlags();
const result = await bench((line) => console.error(line), values);
const machine = { cores: availableParallelism(), cpu: cpus()[0]?.model };
console.log(JSON.stringify({ bench: name, ...result, machine }, null, json === true ? 0 : 2));
process.exit(result.holds ? 0 : 1);

function parseFlags(): BenchOptions {
  try {
    return parseArgs({ args: flags, options: { ...options, json: { type: 'boolean' } } }).values;
  } catch (error) {
    console.error((error as Error).message);
    exitWithUsage();
  }
}

function exitWithUsage(): never {
  console.error(
    `Usage: npm run bench -- NAME [--json], where NAME is one of ${Object.keys(BENCHES).join(', ')}`,
  );
  process.exit(2);
}
