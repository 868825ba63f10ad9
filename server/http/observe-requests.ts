import type { Request, RequestHandler, Response } from 'express';
import { observe } from '../metrics/exemplars.js';
import type { Metrics } from '../metrics/metrics.js';
import { readTraceContext } from '../traces/context.js';
import type { Span, Tracer } from '../traces/tracer.js';

/** Facts of a request beside its headers, which are observed when its response has ended. */
interface Observed {
  /** Null if its trace is not recorded. */
  span?: Span | null;
  /** The job that it made. */
  jobId?: string;
}

/** Paths that are traced: those of the API, without probes and the page. */
const TRACED = /^\/v\d+\//;

/**
 * Measures every request under its route's pattern: a client's paths must not become labels. Starts a span for each
 * request of the API, in the trace that `traceparent` names.
 * @param tracer null where no traces are recorded
 */
export function observeRequests(
  metrics: Pick<Metrics, 'requestDuration' | 'requestsInFlight'>,
  tracer: Tracer | null,
): RequestHandler {
  return (request, response, next) => {
    const { method, path } = request;
    const started = performance.now();
    metrics.requestsInFlight.inc();
    const observed: Observed = response.locals;
    if (tracer !== null && TRACED.test(path)) {
      const caller = readTraceContext(request.get('traceparent'), request.get('tracestate'));
      observed.span = tracer.start(method, caller, { kind: 'server' });
    }
    response.once('close', () => {
      metrics.requestsInFlight.dec();
      const route = routeOf(request);
      const status = response.writableFinished ? response.statusCode : 499;
      const { span, jobId } = observed;
      const exemplar =
        jobId === undefined ? null : { job_id: jobId, ...(span && { trace_id: span.traceId }) };
      const labels = { route: route ?? 'none', method, status: String(status) };
      observe(metrics.requestDuration, labels, (performance.now() - started) / 1000, exemplar);
      span?.end({
        name: route === null ? method : `${method} ${route}`,
        attributes: {
          'http.request.method': method,
          ...(route !== null && { 'http.route': route }),
          'http.response.status_code': status,
        },
        error: status >= 500 ? String(status) : null,
      });
    });
    next();
  };
}

/** The pattern of a request's route; null where there is none. */
function routeOf({ route, baseUrl }: Request): string | null {
  const path = (route as { path?: string } | undefined)?.path;
  return path === undefined ? null : `${baseUrl}${path}`.replace(/(.)\/$/, '$1');
}

/** Records the job that a request makes. */
export function noteJob({ res }: Request, id: string): void {
  if (res) observedOf(res).jobId = id;
}

/** The job that the request of a response has made; null where it has made none. */
export const jobOf = (response: Response): string | null => observedOf(response).jobId ?? null;

/** The span of a request; null where its trace is not recorded. */
export const spanOf = ({ res }: Request): Span | null => (res && observedOf(res).span) ?? null;

const observedOf = ({ locals }: Response): Observed => locals;
