import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { STAGES as ALL_STAGES } from '../../../server/contract/stages.js';
import type { RunningServer } from '../../../server/serve.js';
import { traceSettingsOf } from '../../../server/traces/settings.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { OtlpReceiver, type ReceivedSpan } from '../../support/otlp.js';
import { testServer } from '../../support/product.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
/** Clocks of two processes may be read in another order than they are compared, in ms. */
const SLACK_MS = 5;

const folder = await testFolder();
const receiver = new OtlpReceiver();
let server: RunningServer;
let image: Buffer;

beforeAll(async () => {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
  image = await sharp({ create: { width: 700, height: 500, channels: 3, background: '#000', noise } })
    .png()
    .toBuffer();
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: await receiver.start(), OTEL_BSP_SCHEDULE_DELAY: '10' };
  server = await testServer(join(folder, 'data'), { traces: traceSettingsOf(variables) });
});
afterAll(async () => {
  await server?.close();
  await receiver.stop();
});
beforeEach(() => {
  receiver.spans.length = 0;
});

const send = (
  path: string,
  headers: Record<string, string> = {},
  body: RequestInit['body'] = new Uint8Array(image),
) => fetch(`${server.url}${path}`, { method: 'POST', body: body!, headers });
/** The spans of a trace, when that of its request and, if there is one, of its job were received. */
/** Those of a model that needs no statistics of the image. */
const STAGES = ALL_STAGES.filter((stage) => stage !== 'statistics');

async function spansBy(names: readonly string[]): Promise<(name: string) => ReceivedSpan> {
  const has = () => names.every((name) => receiver.spans.some((span) => span.name === name));
  await expect.poll(has, { interval: 10, timeout: 10_000 }).toBe(true);
  return (name) => receiver.spans.find((span) => span.name === name)!;
}

describe('the trace of a request', () => {
  it('has its job, and each stage of it, within the trace of the caller', async () => {
    const headers = { traceparent: `00-${TRACE}-${CALLER}-01`, tracestate: 'congo=t61rcWkgMzE' };
    const response = await send('/v1/segment?model=shapes&tile=236', headers);
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    const of = await spansBy(['POST /v1/segment', 'job', 'plan', ...STAGES]);
    const [request, job] = [of('POST /v1/segment'), of('job')];
    expect(request).toMatchObject({
      traceId: TRACE,
      parentSpanId: CALLER,
      traceState: 'congo=t61rcWkgMzE',
      kind: 2,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/segment',
        'http.response.status_code': '200',
      },
    });
    expect(job).toMatchObject({
      parentSpanId: request.spanId,
      attributes: {
        'unseam.job.class': 'interactive',
        'unseam.job.state': 'succeeded',
        'unseam.model': 'shapes/1',
        'unseam.image.width': '700',
      },
      events: ['started'],
    });
    for (const name of ['upload', 'plan']) expect(of(name).parentSpanId).toBe(request.spanId);
    const tiles = Number(job.attributes['unseam.plan.tiles']);
    expect(tiles).toBeGreaterThan(4);
    for (const stage of ['queue', 'infer', 'stitch']) {
      const span = of(stage);
      expect(span.attributes['unseam.stage.count']).toBe(String(tiles));
      expect(span.parentSpanId).toBe(job.spanId);
      expect(span.startMs).toBeGreaterThan(job.startMs - SLACK_MS);
      expect(span.endMs).toBeLessThan(job.endMs + SLACK_MS);
    }
    // in the order of their vocabulary, though those of tiles overlap
    const starts = STAGES.map((stage) => of(stage).startMs);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(new Set(receiver.spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  });

  it('begins here without a caller, and goes on with a job that outlives it', async () => {
    const { id } = (await (await send('/v1/jobs?model=shapes')).json()) as { readonly id: string };
    await settledJob(server.url, id);
    const of = await spansBy(['POST /v1/jobs', 'job', 'encode']);
    expect(of('POST /v1/jobs').parentSpanId).toBeUndefined();
    expect(of('job')).toMatchObject({
      parentSpanId: of('POST /v1/jobs').spanId,
      attributes: { 'unseam.job.id': id },
    });
    const metrics = await fetch(`${server.url}/metrics`, {
      headers: { accept: 'application/openmetrics-text' },
    });
    expect(await metrics.text()).toContain(`{job_id="${id}",trace_id="${of('job').traceId}"}`);
  });

  it('says what has failed', async () => {
    expect((await send('/v1/segment?model=shapes', {}, 'no image')).status).toBe(415);
    const of = await spansBy(['POST /v1/segment']);
    expect(of('POST /v1/segment').attributes['http.response.status_code']).toBe('415');
    expect((await send('/v1/nothing')).status).toBe(404);
    expect((await spansBy(['POST']))('POST').attributes).not.toHaveProperty('http.route');
  });

  it('is not recorded where the caller does not record it, nor for probes and scrapers', async () => {
    for (const path of ['/livez', '/readyz', '/metrics', '/'])
      await (await fetch(`${server.url}${path}`)).text();
    const headers = { traceparent: `00-${TRACE}-${CALLER}-00` };
    expect((await send('/v1/segment?model=shapes', headers)).status).toBe(200);
    await (await fetch(`${server.url}/v1/models`)).json();
    await spansBy(['GET /v1/models']);
    expect(receiver.spans.map(({ name }) => name)).toEqual(['GET /v1/models']);
  });

  it('has no name of a file, as nothing that is measured has', async () => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(image)]), 'jane-doe.png');
    const { id } = (await (await send('/v1/jobs?model=shapes', {}, form)).json()) as { readonly id: string };
    await settledJob(server.url, id);
    await (await fetch(`${server.url}/v1/jobs/${id}/result`)).arrayBuffer();
    await spansBy(['job', 'GET /v1/jobs/:id/result']);
    for (const accept of ['text/plain', 'application/openmetrics-text']) {
      const metrics = await fetch(`${server.url}/metrics`, { headers: { accept } });
      expect(await metrics.text()).not.toContain('jane');
    }
    expect(receiver.bodies.join()).not.toContain('jane');
  });
});

it('the docs name every variable that is read', async () => {
  const [source, page] = await Promise.all(
    ['server/traces/settings.ts', 'docs/operations.md'].map((path) => readFile(path, 'utf8')),
  );
  const read = new Set([...source!.matchAll(/'(OTEL_\w+)'/g)].map(([, name]) => name!));
  expect(read.size).toBeGreaterThan(10);
  expect([...read].filter((name) => !page!.includes(`\`${name}\``))).toEqual([]);
});
