import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { createMetrics } from '../../../server/metrics/metrics.js';

/** What prom-client knows of a metric beyond its types. */
interface Definition {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labelNames: readonly string[];
}

it('the table of metrics in the docs is what the server has', async () => {
  const page = await readFile('docs/operations.md', 'utf8');
  const rows = [...page.matchAll(/^\| `(unseam_\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$/gm)].map(
    ([, name, type, labels]) => [name, type, [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label)],
  );
  const { registry } = createMetrics({});
  const known = (registry.getMetricsAsArray() as unknown as Definition[])
    .filter(({ name }) => name.startsWith('unseam_'))
    .map(({ name, type, labelNames }) => [name, type, [...labelNames]]);
  expect(rows.length).toBe(known.length);
  expect(Object.fromEntries(rows.map((row) => [row[0], row]))).toEqual(
    Object.fromEntries(known.map((row) => [row[0], row])),
  );
});
