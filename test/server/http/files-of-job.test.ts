import { expect, it } from 'vitest';
import { RequestError } from '../../../server/contract/errors.js';
import { withFilesOf } from '../../../server/http/files-of-job.js';
import type { JobRecord } from '../../../server/jobs/job.js';

const missing = async () => {
  throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
};
const job = { id: '7' };

it('a file that is missing since its job was removed meanwhile is no failure of the server', async () => {
  const gone = {
    get: () => {
      throw new RequestError('not-found', 'there is no job 7');
    },
  };
  await expect(withFilesOf(gone, job, missing)).rejects.toThrow('there is no job 7');
  await expect(withFilesOf(gone, job, async () => 1)).resolves.toBe(1);
});

it('a file that is missing from a job that exists is one', async () => {
  const there = { get: () => job as JobRecord };
  await expect(withFilesOf(there, job, missing)).rejects.toThrow('ENOENT');
});
