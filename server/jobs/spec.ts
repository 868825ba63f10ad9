import { join } from 'node:path';
import type { JobSpec } from '../contract/job-spec.js';
import type { ResultFile } from '../contract/outputs.js';
import { JOURNAL_NAME, resultName, uploadPath } from './folder.js';
import type { JobRecord, JobSource } from './job.js';

/** The file or the address that a source is read from; `folder` is the job's. */
function inputOf(source: JobSource, folder: string): string {
  switch (source.kind) {
    case 'upload':
      return uploadPath(folder);
    case 'path':
      return source.path;
    case 'url':
      return source.url;
  }
}

/** A job as the worker runs it, with all of its files in `folder`. */
export function specOf(record: JobRecord, folder: string): JobSpec {
  const { id, priority, request, source, image } = record;
  const { outputs, simplify, ...work } = request;
  const results = outputs.map(
    ({ output, format }): ResultFile => ({
      output,
      format,
      simplify,
      path: join(folder, resultName(output, format)),
    }),
  );
  return {
    ...work,
    id,
    priority,
    size: { width: image.width, height: image.height },
    input: inputOf(source, folder),
    scratchDir: folder,
    results,
    journal: join(folder, JOURNAL_NAME),
    singleFile: source.kind === 'upload',
  };
}
