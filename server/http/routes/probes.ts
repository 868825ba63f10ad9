import type { Metrics } from '../../metrics.js';
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
 * `/metrics`, for Prometheus.
 * @param updateGauges sets the gauges that are counted only when Prometheus scrapes
 */
export function metricsRoute(
  operate: Operate,
  { registry }: Pick<Metrics, 'registry'>,
  updateGauges: () => void,
): void {
  operate('getMetrics', async (_request, response) => {
    updateGauges();
    response.type(registry.contentType).send(await registry.metrics());
  });
}
