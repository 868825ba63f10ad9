import { Exposer } from '../../metrics/exposition.js';
import type { Metrics } from '../../metrics/metrics.js';
import type { Operate } from '../operate.js';

/**
 * `/livez` and `/readyz`, the probes of an orchestrator.
 * @param unready why the server accepts no work at present; null if it does
 * @param devices what a person should know of them, in lines, which follow. Default nothing
 */
export function probeRoutes(
  operate: Operate,
  unready: () => string | null,
  devices: () => readonly string[] = () => [],
): void {
  operate('isLive', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  operate('isReady', (_request, response) => {
    const reason = unready();
    response
      .status(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${[reason ?? 'ok', ...devices()].join('\n')}\n`);
  });
}

/**
 * `/metrics`, for Prometheus: as OpenMetrics, which has exemplars, to clients that prefer it, and as text otherwise.
 * @param measure measures the gauges that change without an event
 */
export function metricsRoute(
  operate: Operate,
  { registry }: Pick<Metrics, 'registry'>,
  measure: () => Promise<void>,
): void {
  const exposer = new Exposer(registry);
  operate('getMetrics', async (request, response) => {
    await measure();
    const { contentType, body } = await exposer.expose(request.get('Accept'));
    response.set('Content-Type', contentType).vary('Accept').send(body);
  });
}
