import { join } from 'node:path';
import type { JobSpec } from '../contract/job-spec.js';
import { FORMATS, type Format, type Output, type ResultFile } from '../contract/outputs.js';
import type { JobRecord, JobSource } from './job.js';

/** The file or the address that a source is read from; `folder` is the job's. */
export function inputOf(source: JobSource, folder: string): string {
  switch (source.kind) {
    case 'upload':
      return join(folder, 'upload');
    case 'path':
      return source.path;
    case 'url':
      return source.url;
  }
}

/** The path of a result in a job's folder, whether the result exists or not. */
export const resultPath = (folder: string, output: Output, format: Format): string =>
  join(folder, `${output}${FORMATS[format].ending}`);

/** A job as the worker runs it, with all of its files in `folder`. */
export function specOf(record: JobRecord, folder: string): JobSpec {
  const { id, priority, request, source, image } = record;
  const { outputs, simplify, ...work } = request;
  const results = outputs.map(
    ({ output, format }): ResultFile => ({
      output,
      format,
      simplify,
      path: resultPath(folder, output, format),
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
    journal: join(folder, 'bands'),
    singleFile: source.kind === 'upload',
  };
}
