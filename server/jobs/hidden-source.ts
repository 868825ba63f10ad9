import { HIDDEN, hideNames } from '../contract/private-names.js';
import type { JobRecord, JobSource } from './job.js';

/**
 * A record without its names, as clients see it, even if they were written into it, by a server that hid none or by a
 * library that repeats the path that it reads.
 */
export function withoutNamesOf(record: JobRecord): JobRecord {
  const names = namesOf(record);
  const hide = (text: string) => hideNames(text, names);
  const { source, error, pause, receipt } = record;
  return {
    ...record,
    source: hiddenSource(source),
    error: error && { ...error, detail: hide(error.detail) },
    pause: pause && { ...pause, detail: hide(pause.detail) },
    receipt: receipt?.warnings ? { ...receipt, warnings: receipt.warnings.map(hide) } : receipt,
  };
}

/** A source without its names, as clients see it. */
function hiddenSource(source: JobSource): JobSource {
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
