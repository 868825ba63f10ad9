import { HIDDEN } from '../contract/private-names.js';
import type { JobRecord, JobSource } from './job.js';

/** A source without its names, as clients see it. */
export function hiddenSource(source: JobSource): JobSource {
  switch (source.kind) {
    case 'upload':
      return { ...source, name: null };
    case 'path':
      return { kind: source.kind, path: HIDDEN, name: HIDDEN };
    case 'url':
      return { kind: source.kind, url: `https://${HIDDEN}/` };
  }
}

/** The paths and addresses of a job's image and of its tissue mask. */
export function namesOf({
  source,
  request: { background },
}: Pick<JobRecord, 'source' | 'request'>): string[] {
  const mask = typeof background === 'object' && background !== null ? [background.mask] : [];
  switch (source.kind) {
    case 'upload':
      return source.name === null ? mask : [source.name, ...mask];
    case 'path':
      return [source.path, source.name, ...mask];
    case 'url':
      return [source.url, ...mask];
  }
}
