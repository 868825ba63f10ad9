import type { Failure, JobRecord, JobSource } from './job.js';

/** Why the last attempt of a job failed, and when the next one is (ISO 8601). */
export interface Retry extends Failure {
  readonly at: string;
}

/** What changes while a job runs, and is not in its record. */
export interface Live {
  readonly progress: JobRecord['progress'];
  readonly pixelsPerSecond: number | null;
  readonly secondsLeft: number | null;
  /** Null for a job that does not wait for its next attempt. */
  readonly retry: Retry | null;
}

/** A job as clients see it; it reveals no path of the server. */
export function jobView(record: JobRecord, live: Live) {
  const { id, state, priority, source, request, image, plan, receipt, error, pause, restarts } = record;
  const { createdAt, startedAt, finishedAt, cachedFrom } = record;
  const self = `/v1/jobs/${id}`;
  const results = request.outputs.map(({ output, format }) => ({
    output,
    format,
    href: `${self}/result?output=${output}&format=${format}`,
  }));
  return {
    id,
    state,
    priority,
    createdAt,
    startedAt,
    finishedAt,
    source: sourceView(source),
    model: request.model,
    image,
    plan,
    ...live,
    restarts,
    error,
    pause,
    receipt,
    cachedFrom,
    results: state === 'succeeded' ? results : [],
    links: { self, events: `${self}/events`, preview: `${self}/preview` },
  };
}
export type JobView = ReturnType<typeof jobView>;

/** A source as clients see it: an address without its credentials. */
function sourceView(source: JobSource) {
  switch (source.kind) {
    case 'upload':
      return source;
    case 'path':
      return { kind: source.kind, path: source.name };
    case 'url':
      return { kind: source.kind, url: publicAddress(source.url) };
  }
}

/** An address without its user, query and fragment, any of which may hold a key. */
function publicAddress(address: string): string {
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}
