import { ArchiveCache } from '../../../tiling/zip/archive-cache.js';
import { RequestError } from '../../contract/errors.js';
import { OPERATIONS } from '../../contract/operations.js';
import { FORMATS, type Output } from '../../contract/outputs.js';
import type { RouteDependencies } from '../dependencies.js';
import { withFilesOf } from '../files-of-job.js';
import type { Operate } from '../operate.js';
import { visibleJobs } from '../principal.js';
import { sendArchived } from '../send.js';

const PATH = OPERATIONS.getZarrFile.parameters.path;

/**
 * `/v1/jobs/ID/labels.zarr/KEY`: the files of a result as OME-Zarr, for programs that open one by its URL. They are sent
 * out of the archive that the result is.
 */
export function zarrFileRoutes(
  operate: Operate,
  { jobs, idleTimeoutMs }: Pick<RouteDependencies, 'jobs' | 'idleTimeoutMs'>,
): void {
  const cache = new ArchiveCache();
  operate('getZarrFile', async (request, response) => {
    const record = visibleJobs(jobs, request).get(request.params.id);
    const parsed = PATH.safeParse(request.params);
    if (!parsed.success) throw new RequestError('not-found', `there is nothing at ${request.path}`);
    const { store, key } = parsed.data;
    const output = store.replace(/\.zarr$/, '') as Output;
    const isDocument = key.endsWith('.json');
    await withFilesOf(jobs, record, async () => {
      const path = await jobs.results.get(record, output, 'zarr');
      response.set('Cache-Control', 'private, max-age=86400');
      await sendArchived(
        request,
        response,
        { path, name: key, cache },
        {
          type: isDocument ? FORMATS.json.type : FORMATS.raw.type,
          etag: `${record.id}-${output}-zarr/${key}`,
          idleTimeoutMs,
          onSent: (bytes) => jobs.countSent(output, bytes),
        },
      );
    });
  });
}
