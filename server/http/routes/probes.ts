import { Router } from 'express';
import type { Metrics } from '../../metrics.js';

/**
 * `/livez` and `/readyz`, the probes of an orchestrator.
 * @param unready why the server accepts no work at present; null if it does
 * @param devices what a person should know of them, in lines, which follow. Default nothing
 */
export function probeRoutes(
  unready: () => string | null,
  devices: () => readonly string[] = () => [],
): Router {
  const router = Router();
  router.get('/livez', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  router.get('/readyz', (_request, response) => {
    const reason = unready();
    response
      .status(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${[reason ?? 'ok', ...devices()].join('\n')}\n`);
  });
  return router;
}

/**
 * `/metrics`, for Prometheus.
 * @param updateGauges sets the gauges that are counted only when Prometheus scrapes
 */
export function metricsRoute({ registry }: Pick<Metrics, 'registry'>, updateGauges: () => void): Router {
  return Router().get('/metrics', async (_request, response) => {
    updateGauges();
    response.type(registry.contentType).send(await registry.metrics());
  });
}
