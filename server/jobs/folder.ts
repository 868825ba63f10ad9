import { join } from 'node:path';
import { FORMATS, type Format, formatsOf, OUTPUTS, type Output } from '../contract/outputs.js';
import type { JobRecord } from './job.js';

/** The record of a job. */
export const RECORD_NAME = 'job.json';
/** The image of a job whose client uploaded it. */
export const UPLOAD_NAME = 'upload';
/** The finished bands of a job that has not ended. */
export const JOURNAL_NAME = 'bands';

/** The file of a result. */
export const resultName = (output: Output, format: Format): string => `${output}${FORMATS[format].ending}`;

/** The files of all results that a job may have. */
export const RESULT_NAMES: readonly string[] = OUTPUTS.flatMap((output) =>
  formatsOf(output).map((format) => resultName(output, format)),
);

/** The files of a succeeded job except its record: its upload, if any, and its results. */
export function filesOf({ source, request }: Pick<JobRecord, 'source' | 'request'>): string[] {
  const results = request.outputs.map(({ output, format }) => resultName(output, format));
  return source.kind === 'upload' ? [UPLOAD_NAME, ...results] : results;
}

/** The path of an upload in the job's folder. */
export const uploadPath = (folder: string): string => join(folder, UPLOAD_NAME);
