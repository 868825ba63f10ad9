import { Registry } from 'prom-client';

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/**
 * Writes metrics in the format that a scraper prefers: OpenMetrics, which has exemplars, or Prometheus's text.
 *
 * prom-client renames counters as it writes OpenMetrics, and would then write text with the wrong names. So each format
 * has a registry of its own, of objects that inherit everything of the metrics but the name.
 */
export class Exposer {
  readonly #openMetrics: Registry;
  readonly #text: Registry;

  constructor(metrics: Pick<Registry, 'getMetricsAsArray'>) {
    this.#openMetrics = inheriting(metrics, Registry.OPENMETRICS_CONTENT_TYPE);
    this.#text = inheriting(metrics, Registry.PROMETHEUS_CONTENT_TYPE);
  }

  /** @param accept the request's `Accept` */
  async expose(accept: string | undefined): Promise<Exposition> {
    const registry = prefersOpenMetrics(accept ?? '') ? this.#openMetrics : this.#text;
    return { contentType: registry.contentType, body: await registry.metrics() };
  }
}

function inheriting(metrics: Pick<Registry, 'getMetricsAsArray'>, contentType: string): Registry {
  const registry = new Registry();
  registry.setContentType(contentType as never); // its type says that a registry has one format for ever
  for (const metric of metrics.getMetricsAsArray()) registry.registerMetric(Object.create(metric));
  return registry;
}

/**
 * Whether `Accept` names OpenMetrics, and prefers it to text. Parameters of media types, such as versions and escaping,
 * differ between versions of Prometheus, and all of them can read what is written here.
 */
function prefersOpenMetrics(accept: string): boolean {
  const quality = (...types: readonly string[]): number =>
    Math.max(
      0,
      ...accept.split(',').flatMap((range) => {
        const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
        if (!types.includes(type)) return [];
        const q = parameters.find((parameter) => parameter.startsWith('q='));
        return [q === undefined ? 1 : Number(q.slice(2)) || 0];
      }),
    );
  return quality('application/openmetrics-text') > quality('text/plain', 'text/*', '*/*');
}
