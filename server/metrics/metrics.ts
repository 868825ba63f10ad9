import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { engineMetrics } from './engine-metrics.js';
import { jobMetrics } from './job-metrics.js';
import { processMetrics } from './process-metrics.js';
import { requestMetrics } from './request-metrics.js';

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * What prom-client has under names that Prometheus reserves for counters, though these are gauges. They are the sums of
 * others.
 */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);

/**
 * Creates all metrics of a server, in a registry of its own, which an `Exposer` writes. Each label has few values: none is what a client chose, but
 * for the names of models that exist.
 * @param build versions by package name, such as `{ "onnxruntime-node": "1.20.0" }`
 */
export function createMetrics(build: Readonly<Record<string, string>>) {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never); // prom-client has exemplars in no other
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const buildInfo = new Gauge({
    name: 'unseam_build_info',
    help: 'Versions, as labels of a constant 1.',
    labelNames: Object.keys(build).map(labelName),
    registers: [registry],
  });
  buildInfo.set(Object.fromEntries(Object.entries(build).map(([name, v]) => [labelName(name), v])), 1);
  return {
    registry,
    ...requestMetrics(registry),
    ...jobMetrics(registry),
    ...engineMetrics(registry),
    ...processMetrics(registry),
  };
}

/** Converts a package name to a label name of Prometheus. */
function labelName(name: string): string {
  return name.replace(/\W+/g, '_').replace(/^_/, '');
}
