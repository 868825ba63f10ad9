import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { networkDigest } from '../../model/shelf/model-files.js';
import type { ModelShelf } from '../../model/shelf/shelf.js';
import type { JobRecord, JobSource } from './job.js';

/** What a job's results depend on, besides the server that computes them. */
export type Keyed = Pick<JobRecord, 'owner' | 'source' | 'request'>;

/** Names results by everything that they depend on: jobs with the same name have the same results. */
export class ResultKeys {
  /**
   * @param environment everything of the server that results depend on, as JSON: versions and processor; null where that
   *   is not known at present
   */
  constructor(
    private readonly shelf: Pick<ModelShelf, 'find'>,
    private readonly environment: () => unknown,
  ) {}

  /**
   * The name of a job's results, as its image, its model and its tissue mask are now; null for an image that cannot be
   * identified without reading it: one on another server, a folder, an upload whose digest is not known; and while the
   * device is not known.
   * @throws CheckpointError, UnknownModelError where its model is gone
   */
  async of({ owner, source, request }: Keyed): Promise<string | null> {
    const environment = this.environment();
    const image = await identityOf(source);
    if (image === null || environment === null) return null;
    const { background } = request;
    const mask = typeof background === 'object' && background !== null ? background.mask : null;
    const tissue = mask === null ? null : await identityOfFile(mask);
    if (mask !== null && tissue === null) return null;
    const { folder } = await this.shelf.find(request.model);
    const network = await networkDigest(folder);
    const parts = { owner, image, request, tissue, network, environment };
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  }
}

async function identityOf(source: JobSource): Promise<unknown> {
  switch (source.kind) {
    case 'upload':
      return source.sha256;
    case 'path':
      return identityOfFile(source.path);
    case 'url':
      return null; // an ETag would have to be requested, may be weak, and is often missing
  }
}

/** A file and its version, by what changes whenever anyone writes to it; null for what is not a file. */
async function identityOfFile(path: string): Promise<unknown> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  if (!found?.isFile()) return null;
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  return { path, version: [dev, ino, size, mtimeNs, ctimeNs].map(String) };
}
