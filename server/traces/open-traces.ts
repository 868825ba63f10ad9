import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.js';
import { SpanExporter } from './exporter.js';
import { samplerOf } from './sampler.js';
import type { TraceSettings } from './settings.js';
import { Tracer } from './tracer.js';

/** The traces of a server. */
export interface Traces {
  /** Null if none are recorded. */
  readonly tracer: Tracer | null;
  /** Sends the last spans. */
  readonly close: () => Promise<void>;
}

/** @param settings null to record nothing */
export function openTraces(
  settings: TraceSettings | null,
  { traceSpans }: Pick<Metrics, 'traceSpans'>,
  log: Logger,
): Traces {
  for (const outcome of ['sent', 'dropped']) traceSpans.inc({ outcome }, 0);
  if (settings === null) return { tracer: null, close: async () => {} };
  const onSpans = (outcome: 'sent' | 'dropped', count: number) => traceSpans.inc({ outcome }, count);
  const exporter = new SpanExporter({ settings, log, onSpans });
  const { name, ratio } = settings.sampler;
  const tracer = new Tracer(samplerOf(name, ratio), (span) => exporter.add(span));
  log.info({ to: new URL(settings.url).origin, sampler: name }, 'traces are sent');
  return { tracer, close: () => exporter.close() };
}
