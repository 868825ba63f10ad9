import express, { type Express, type RequestHandler } from 'express';
import type { Audit } from '../access/audit.js';
import type { Authenticator } from '../access/authenticator.js';
import { RequestError } from '../contract/errors.js';
import { CODES } from '../contract/problems.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Tracer } from '../traces/tracer.js';
import { auditBy } from './audit.js';
import { authorizeBy, publicOnly } from './authorize.js';
import { type BodyLimits, watchBodies } from './body-watch.js';
import { boundRequests } from './bounds.js';
import type { LimitsDependencies, RouteDependencies } from './dependencies.js';
import type { Drain } from './drain.js';
import { guard, type HostPolicy } from './guard.js';
import { limitRate } from './limit-rate.js';
import { observeRequests } from './observe-requests.js';
import { methodsAt, operateOn } from './operate.js';
import { problemHandler } from './problem.js';
import type { ProblemReporter } from './problem-reporter.js';
import type { Rate } from './rate-limit.js';
import { identifyRequests } from './request-id.js';
import { contractRoutes } from './routes/contract.js';
import { deepZoomRoutes } from './routes/deep-zoom.js';
import { inferenceProbes, inferenceRoutes } from './routes/inference.js';
import { jobRoutes } from './routes/jobs.js';
import { limitsRoute } from './routes/limits.js';
import { modelRoutes } from './routes/models.js';
import { planRoute } from './routes/plan.js';
import { metricsRoute, probeRoutes } from './routes/probes.js';
import { segmentRoute } from './routes/segment.js';
import { sessionRoutes } from './routes/session.js';
import { tokenRoutes } from './routes/tokens.js';
import { uploadRoutes } from './routes/uploads.js';
import { webRoutes } from './routes/web.js';
import { zarrFileRoutes } from './routes/zarr-files.js';

/** Checks of every request before its route. */
export interface BaseDependencies {
  readonly authenticator: Authenticator;
  readonly hosts: HostPolicy;
  readonly drain: Drain;
  readonly reporter: ProblemReporter;
}
export interface AppDependencies extends RouteDependencies, BaseDependencies {
  /** Version of unseam. */
  readonly version: string;
  readonly metrics: Metrics;
  /** Records changes of state; null for no audit log. */
  readonly audit: Audit | null;
  readonly bodies: BodyLimits;
  /** Rate limit of each caller; null for none. */
  readonly rate: Rate | null;
  readonly usage: LimitsDependencies;
  /** `POST /v1/segment` responds to images of more px with a job. */
  readonly syncPixels: number;
  /** Null where no traces are recorded. */
  readonly tracer: Tracer | null;
  /** Measures the gauges that change without an event: called for each scrape. */
  readonly gauges: () => Promise<void>;
  /** Why the server accepts no work at present; null if it does. */
  readonly unready: () => string | null;
  /** What a person should know of the devices, in lines. */
  readonly devices: () => readonly string[];
}

/** The HTTP interface. Does not listen. */
export function createApp(dependencies: AppDependencies): Express {
  const { jobs, shelf, uploads, authenticator, metrics, reporter, hosts, drain, bodies, syncPixels } =
    dependencies;
  const { version, tracer, audit, rate, usage, unready, devices, gauges } = dependencies;
  const app = express();
  app.disable('x-powered-by');
  app.use(observeRequests(metrics, tracer), identifyRequests(), boundRequests(), guard(hosts));
  app.use(drain.handler(), watchBodies(bodies, reporter));

  const operate = operateOn(
    app,
    ...(audit === null ? [] : [auditBy(audit)]),
    authorizeBy(authenticator),
    ...(rate === null ? [] : [limitRate(rate)]),
  );
  segmentRoute(operate, dependencies, syncPixels, drain.ended);
  planRoute(operate, dependencies);
  jobRoutes(operate, dependencies);
  deepZoomRoutes(operate, jobs);
  zarrFileRoutes(operate, dependencies);
  uploadRoutes(operate, uploads);
  modelRoutes(operate, shelf);
  sessionRoutes(operate, authenticator);
  tokenRoutes(operate, authenticator.tokens);
  limitsRoute(operate, usage);
  webRoutes(operate);
  contractRoutes(operate, version);
  const notReady = () => (drain.draining ? 'draining' : unready());
  probeRoutes(operate, notReady, devices);
  inferenceProbes(operate, notReady);
  inferenceRoutes(operate, dependencies, { version, syncPixels, ended: drain.ended });
  metricsRoute(operate, metrics, gauges);

  app.use(refuseUnknown);
  for (const code of CODES) metrics.problems.inc({ code }, 0);
  reporter.countBy((code) => metrics.problems.inc({ code }));
  app.use(problemHandler(reporter));
  return app;
}

/** Refuses requests that match no operation. */
const refuseUnknown: RequestHandler = ({ method, path }, response) => {
  const methods = [...methodsAt(path)].join(', ');
  if (methods === '') throw new RequestError('not-found', `there is no ${method} ${path}`);
  response.set('Allow', methods);
  throw new RequestError('bad-method', `${path} has ${methods}, not ${method}`);
};

/** The app of a server that waits for its data folder or its devices: it responds 503 with the reason. */
export function createWaitingApp(reason: Error, { hosts, drain, reporter }: BaseDependencies): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(identifyRequests(), boundRequests(), guard(hosts), drain.handler());
  const operate = operateOn(app, publicOnly);
  const notReady = () => (drain.draining ? 'draining' : reason.message);
  probeRoutes(operate, notReady);
  inferenceProbes(operate, notReady);
  app.use(() => {
    throw reason;
  });
  app.use(problemHandler(reporter));
  return app;
}
