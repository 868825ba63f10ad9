import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drive, type Scenario, type ScenarioResult } from './drive.js';
import { reconcile, settledMetrics } from './metrics.js';
import { makeImage, startServer, wholeMask } from './product.js';
import { printTable } from './report.js';

/**
 * `npm run loadtest`: drives a server with images of several sizes, compares every mask with that of one pass
 * over the whole image, and reconciles the server's metrics with what the client counted. A server at `--url` must
 * compute everything: `unseam serve --no-cache`.
 */
const SIDES = [200, 600, 1400];

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    model: { type: 'string', default: 'shapes' },
    requests: { type: 'string', default: '40' },
    connections: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const connections = positive('connections', values.connections);
const requests = positive('requests', values.requests);

const dir = await mkdtemp(join(tmpdir(), 'unseam-loadtest-'));
const server = values.url === undefined ? await startServer(dir) : { url: values.url, stop: async () => {} };
let failed: boolean;
try {
  const scenarios: Scenario[] = [];
  for (const side of SIDES) {
    const image = await makeImage(dir, side);
    const expected = await wholeMask(dir, image, values.model);
    // Fewer requests for larger images, so that each size takes a similar time.
    const amount = Math.max(connections, Math.round((requests * SIDES[0]!) / side));
    scenarios.push({ name: `${side}×${side}`, pixels: side * side, image, expected, amount });
  }
  const url = `${server.url}/v1/segment?model=${encodeURIComponent(values.model)}`;
  await drive(url, { ...scenarios[0]!, amount: 1 }, 1); // warm-up: loads the model
  const before = await settledMetrics(server.url);
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) results.push(await drive(url, scenario, connections));
  const differences = await reconcile(server.url, before, results);
  const errors = results.reduce((sum, r) => sum + r.errors, 0);
  const wrongMasks = results.reduce((sum, r) => sum + r.wrongMasks, 0);
  failed = errors > 0 || wrongMasks > 0 || differences.length > 0;
  if (!values.json) printTable(results);
  for (const difference of differences) console.error(difference);
  const report = {
    connections,
    scenarios: results,
    errors,
    wrongMasks,
    metricsAgree: differences.length === 0,
    holds: !failed,
  };
  console.log(JSON.stringify(report, null, values.json ? 0 : 2));
} finally {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  console.error(`--${name} must be a positive integer, not "${text}"`);
  process.exit(2);
}
