import { readFile } from 'node:fs/promises';
import express, { type Express, type RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { Card } from '../../model/card.js';
import { readCard } from '../../model/model-files.js';
import { RequestError } from '../contract/errors.js';
import type { Metrics } from '../metrics.js';
import { type BodyLimits, watchBodies } from './body-watch.js';
import { boundedRequests } from './bounds.js';
import type { Drain } from './drain.js';
import { guard, type HostPolicy } from './guard.js';
import { problemHandler } from './problem.js';
import { deepZoomRoutes } from './routes/deep-zoom.js';
import { jobRoutes } from './routes/jobs.js';
import { planRoute } from './routes/plan.js';
import { segmentRoute } from './routes/segment.js';
import { webRoutes } from './routes/web.js';
import type { JobRoutes } from './source.js';

/** What stands before every route. */
export interface BaseDependencies {
  readonly hosts: HostPolicy;
  readonly drain: Drain;
  readonly log: Logger;
}
export interface AppDependencies extends JobRoutes, BaseDependencies {
  readonly metrics: Metrics;
  readonly bodies: BodyLimits;
  /** Larger images are answered with a job. */
  readonly syncPixels: number;
  /** Why the server takes no work now; null where it does. */
  readonly unready: () => string | null;
}

/** The HTTP interface. Does not listen. */
export function createApp(dependencies: AppDependencies): Express {
  const { shelf, metrics, log, hosts, drain, unready } = dependencies;
  const app = express();
  app.disable('x-powered-by');
  app.use(timed(metrics), boundedRequests(), guard(hosts));
  app.use(drain.handler(), watchBodies(dependencies.bodies, log));

  app.post('/v1/segment', segmentRoute(dependencies, dependencies.syncPixels, drain.ended));
  app.use('/v1/jobs', jobRoutes(dependencies));
  app.use('/v1/jobs', deepZoomRoutes(dependencies.jobs));
  app.use('/v1/plan', planRoute(dependencies));
  app.use(dependencies.uploads.path, dependencies.uploads.handler());
  const withCurves = async (card: Card) => {
    const curves = await shelf.curvesOf(card);
    return { ...card, curves: curves && `/v1/models/${encodeURIComponent(card.name)}/curves.svg` };
  };
  app.get('/v1/models', async (_request, response) => {
    const { cards, unreadable } = await shelf.survey();
    response.json({ models: await Promise.all(cards.map(withCurves)), unreadable });
  });
  app.get('/v1/models/:name', async (request, response) => {
    const { folder } = await shelf.find(request.params.name);
    response.json(await withCurves(await readCard(folder)));
  });
  app.get('/v1/models/:name/curves.svg', async (request, response) => {
    const curves = await shelf.curvesOf(await shelf.find(request.params.name));
    if (curves === null)
      throw new RequestError('not-found', 'this model came without the curves of its training');
    response
      .type('svg')
      .set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
      .send(await readFile(curves));
  });
  app.use(webRoutes());
  app.use(probes(() => (drain.draining ? 'draining' : unready())));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  app.use((request) => {
    throw new RequestError('not-found', `there is no ${request.method} ${request.path}`);
  });
  app.use(problemHandler(log));
  return app;
}

/** What answers while there is no data folder to work with: `why`, to whoever asks. */
export function createWaitingApp(why: string, { hosts, drain, log }: BaseDependencies): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(boundedRequests(), guard(hosts), drain.handler());
  app.use(probes(() => (drain.draining ? 'draining' : why)));
  app.use(() => {
    throw new RequestError('folder-in-use', why);
  });
  app.use(problemHandler(log));
  return app;
}

function probes(unready: () => string | null): Router {
  const router = Router();
  router.get('/livez', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  router.get('/readyz', (_request, response) => {
    const why = unready();
    response
      .status(why === null ? 200 : 503)
      .type('text/plain')
      .send(`${why ?? 'ok'}\n`);
  });
  return router;
}

/** Observes every request under its route's pattern, so that no path of a client becomes a label. */
function timed(metrics: Metrics): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    response.once('close', () => {
      const path = (request.route as { path?: string } | undefined)?.path;
      const route = path === undefined ? 'none' : `${request.baseUrl}${path}`.replace(/(.)\/$/, '$1');
      const status = response.writableFinished ? String(response.statusCode) : '499';
      const labels = { route, method: request.method, status };
      metrics.requestDuration.observe(labels, (performance.now() - started) / 1000);
    });
    next();
  };
}
