import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SpanExporter } from '../../../server/traces/exporter.js';
import { samplerOf } from '../../../server/traces/sampler.js';
import { traceSettingsOf } from '../../../server/traces/settings.js';
import { Tracer } from '../../../server/traces/tracer.js';
import { OtlpReceiver } from '../../support/otlp.js';

let receiver: OtlpReceiver;
let endpoint: string;
let counts: Record<'sent' | 'dropped', number>;
let lines: string[];
beforeEach(async () => {
  receiver = new OtlpReceiver();
  endpoint = await receiver.start();
  counts = { sent: 0, dropped: 0 };
  lines = [];
});
afterEach(() => receiver.stop());

function setup(variables: Record<string, string> = {}) {
  const settings = traceSettingsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...variables })!;
  const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line).msg) });
  const exporter = new SpanExporter({
    settings,
    log,
    onSpans: (outcome, count) => {
      counts[outcome] += count;
    },
  });
  const tracer = new Tracer(samplerOf('always_on', 1), (span) => exporter.add(span));
  const spans = (number: number) => {
    for (let i = 0; i < number; i++) tracer.start(`span ${i}`, null)!.end();
  };
  return { exporter, spans };
}

it('sends spans together, with the headers and the resource', async () => {
  const { exporter, spans } = setup({
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=k',
    OTEL_SERVICE_NAME: 'unseam-lab',
  });
  spans(3);
  await exporter.close();
  expect(receiver.bodies.length).toBe(1);
  expect(receiver.spans.map(({ name }) => name)).toEqual(['span 0', 'span 1', 'span 2']);
  expect(receiver.spans[0]!.resource).toEqual({ 'service.name': 'unseam-lab' });
  expect(receiver.headers[0]).toMatchObject({ 'api-key': 'k' });
  expect(counts).toEqual({ sent: 3, dropped: 0 });
});

it('sends a full batch at once, and the rest after a while', async () => {
  const { exporter, spans } = setup({ OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4', OTEL_BSP_SCHEDULE_DELAY: '20' });
  spans(5);
  await expect.poll(() => counts.sent, { interval: 5 }).toBe(5);
  expect(receiver.bodies.length).toBe(2);
  await exporter.close();
});

it('tries again what may succeed later, when the receiver says, and logs it once', async () => {
  const headers = { 'retry-after': '0' };
  receiver.refusals.push({ status: 503, headers }, { status: 429, headers });
  const { exporter, spans } = setup();
  spans(1);
  await exporter.close();
  expect(counts).toEqual({ sent: 1, dropped: 0 });
  expect(lines).toEqual(['traces cannot be sent', 'traces are sent again']);
});

it('drops what the receiver refuses', async () => {
  receiver.refusals.push({ status: 400 });
  const { exporter, spans } = setup();
  spans(2);
  await exporter.close();
  expect(counts).toEqual({ sent: 0, dropped: 2 });
});

it('drops what its queue has no room for, and closes within two seconds, whatever the receiver does', async () => {
  receiver.isSilent = true;
  const { exporter, spans } = setup({ OTEL_BSP_MAX_QUEUE_SIZE: '5', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2' });
  spans(20); // two are being sent, five wait
  expect(counts).toEqual({ sent: 0, dropped: 13 });
  const started = performance.now();
  await exporter.close();
  expect(performance.now() - started).toBeLessThan(2900);
  spans(1);
  expect(counts).toEqual({ sent: 0, dropped: 21 });
});
