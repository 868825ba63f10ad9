import type { JobView, Live } from '../contract/schemas/job.js';
import type { JobRecord, JobSource } from './job.js';

/** A job as clients see it; it reveals no path of the server. */
export function jobView(record: JobRecord, live: Live): JobView {
  const { id, owner, state, priority, source, request, image, plan, receipt, error, pause, restarts } =
    record;
  const { createdAt, startedAt, finishedAt, cachedFrom } = record;
  const self = `/v1/jobs/${id}`;
  const results = request.outputs.map(({ output, format }) => ({
    output,
    format,
    href: `${self}/result?output=${output}&format=${format}`,
  }));
  return {
    id,
    owner,
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

/** A source as clients see it: an address without its credentials. */
function sourceView(source: JobSource): JobView['source'] {
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
