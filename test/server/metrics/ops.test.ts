import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULTS } from '../../../server/config.js';
import { createMetrics } from '../../../server/metrics/metrics.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { isInstalled, Prometheus } from '../../support/prometheus.js';
import { makeToken } from '../../support/tokens.js';

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

const OPS = 'ops/prometheus';
const dashboard = JSON.parse(await readFile('ops/grafana/dashboards/unseam.json', 'utf8'));
const panels: readonly Panel[] = dashboard.panels;
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
const rulesText = await readFile(join(OPS, 'alerts.yml'), 'utf8');

describe('the dashboard and the rules', () => {
  it('query metrics that the server has, or that the rules record', () => {
    const known = new Set(
      createMetrics({})
        .registry.getMetricsAsArray()
        .flatMap(({ name }) => [name, ...['bucket', 'sum', 'count'].map((part) => `${name}_${part}`)]),
    );
    const recorded = [...rulesText.matchAll(/record: (\S+)/g)].map(([, name]) => name!);
    const text = [...queries.map(({ expr }) => expr), rulesText].join('\n');
    const named = [...text.matchAll(/[a-z_]+:unseam_\w+:\w+|\bunseam_\w+/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(60);
    expect(named.filter((name) => !known.has(name) && !recorded.includes(name))).toEqual([]);
  });

  it('have panels of their own ids, all of which ask the data source that is provisioned', async () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const used = new Set(
      panels.flatMap(({ targets = [] }) => targets.map(({ datasource }) => datasource.uid)),
    );
    const { name, current } = dashboard.templating.list[0];
    expect([...used]).toEqual([`\${${name}}`]);
    const source = await readFile('ops/grafana/provisioning/datasources/prometheus.yml', 'utf8');
    expect(source).toContain(`uid: ${current.value}\n`);
  });

  it('are described: the docs have every alert', async () => {
    const page = await readFile('docs/operations.md', 'utf8');
    const described = [...page.matchAll(/^\| `(Unseam\w+)`/gm)].map(([, name]) => name);
    expect(described).toEqual([...rulesText.matchAll(/alert: (\w+)/g)].map(([, name]) => name));
  });
});

describe.skipIf(!isInstalled('promtool'))('promtool', () => {
  const promtool = (...args: string[]) => execFileSync('promtool', args, { cwd: OPS, encoding: 'utf8' });

  it('finds nothing wrong with the configuration and the rules', () => {
    expect(
      promtool('check', 'config', '--syntax-only', '--lint=all', '--lint-fatal', 'prometheus.yml'),
    ).toContain('SUCCESS');
    expect(promtool('check', 'rules', '--lint=all', '--lint-fatal', 'alerts.yml')).toContain('SUCCESS');
  });

  it('has each alert fire where it should, and nowhere else', () => {
    expect(promtool('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS');
  });
});

describe.skipIf(!isInstalled('prometheus'))('a Prometheus that scrapes a server', () => {
  let server: RunningServer;
  let prometheus: Prometheus;
  /** What Grafana puts in for its variables. */
  const filled = (expr: string) =>
    expr.replaceAll('$__rate_interval', '20s').replaceAll('$instance', '.*').replaceAll('$datasource', '');
  const hasData = async (query: string) => {
    const samples = await prometheus.query(query);
    return samples.some(({ value }) => Number.isFinite(value));
  };
  const post = (path: string, body: Buffer) =>
    fetch(`${server.url}${path}`, { method: 'POST', body: new Uint8Array(body) });

  beforeAll(async () => {
    const folder = await testFolder();
    const { tileCacheBytes, responseCacheBytes, reusesResults } = DEFAULTS;
    const caches = { tileCacheBytes, responseCacheBytes, reusesResults };
    // Of given lanes and batches, the sides of tiles alone are measured.
    const engine = { provider: 'cpu', threads: 2, lanes: 2, batch: 1 } as const;
    const data = join(folder, 'data');
    const token = await makeToken(data, 'prometheus', ['read']);
    // The server takes the token of those who present one: Prometheus does, and this test does not.
    server = await testServer(data, { ...caches, engine, worker: { beatMs: 100 }, isOpen: true });
    prometheus = await Prometheus.start(folder, server.url, token);
    // Large, so that it is measured how its model is computed; and blank, so that little else is.
    const blank = { create: { width: 3100, height: 3100, channels: 3 as const, background: '#888' } };
    const job = await post('/v1/jobs?model=shapes', await sharp(blank).png().toBuffer());
    const { id } = (await job.json()) as { readonly id: string };
    expect((await settledJob(server.url, id)).state).toBe('succeeded');
    await (await fetch(`${server.url}/v1/jobs/${id}/result`)).arrayBuffer();
  });
  afterAll(async () => {
    await prometheus?.close();
    await server?.close();
  });

  it('has data for every query of the dashboard and of the rules', async () => {
    const rules = (await prometheus.rules()).map(({ name, query }) => {
      // An alert that does not fire has no data: what it compares has.
      return { title: name, expr: query.replaceAll(/ (?:[<>]=?|[=!]=) [\d.]+/g, '') };
    });
    expect(rules.length).toBeGreaterThan(20);
    let missing = [...queries, ...rules];
    for (let shade = 0; missing.length > 0; shade++) {
      const image = {
        create: { width: 90, height: 90, channels: 3 as const, background: { r: shade, g: 0, b: 0 } },
      };
      const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
      const png = await sharp({ create: { ...image.create, noise } })
        .png()
        .toBuffer();
      for (const _ of ['computed', 'from the cache']) {
        expect((await post('/v1/segment?model=shapes', png)).status).toBe(200);
      }
      const checked = await Promise.all(
        missing.map(async (each) => ((await hasData(filled(each.expr))) ? [] : [each])),
      );
      missing = checked.flat();
      if (shade > 100) break;
    }
    expect(missing).toEqual([]);
  });

  it('evaluates every rule without an error', async () => {
    const unhealthy = (await prometheus.rules()).filter(({ health }) => health !== 'ok');
    expect(unhealthy).toEqual([]);
  });

  it('has the ids of jobs as exemplars, and nothing that a client named', async () => {
    const { jobs } = (await (await fetch(`${server.url}/v1/jobs`)).json()) as {
      readonly jobs: readonly { readonly id: string }[];
    };
    const found = await prometheus.exemplars('{__name__=~"unseam_.+"}');
    expect(found.map(({ job_id }) => job_id)).toContain(jobs[0]!.id);
    const labels = new Set(found.flatMap((exemplar) => Object.keys(exemplar)));
    expect([...labels].filter((label) => !['job_id', 'trace_id'].includes(label))).toEqual([]);
  });

  it.skipIf(!isInstalled('promtool'))('scrapes metrics that promtool finds nothing wrong with', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })).toBe('');
  });
});
