import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Card } from '../../model/card.js';
import { readCard } from '../../model/model-files.js';
import type { ModelShelf } from '../../model/shelf.js';
import type { ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';
import type { JobSpec } from '../contract/job-spec.js';
import { FORMATS, type Format, type Output, type ResultFile } from '../contract/outputs.js';
import type { Readers } from '../readers/readers.js';
import type { WorkerClient } from '../worker/client.js';
import type { JobRecord, JobSource } from './job.js';
import type { JobStore } from './store.js';

/** Where a source is read from; `folder` is the job's. */
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

/** The files of jobs: where they are, and those that are made when somebody asks for them. */
export class JobResults {
  /** Results that are being made, by their path. */
  readonly #making = new Map<string, Promise<void>>();

  constructor(
    private readonly store: JobStore,
    private readonly worker: Pick<WorkerClient, 'call'>,
    private readonly readers: Pick<Readers, 'tile' | 'derive' | 'forget'>,
    private readonly shelf: ModelShelf,
  ) {}

  /** Where a result is to be, whether it is there or not. */
  path(id: string, output: Output, format: Format): string {
    return join(this.store.folder(id), `${output}${FORMATS[format].ending}`);
  }

  /** A job as the worker takes it. */
  specOf({ id, priority, request, source, image: { width, height } }: JobRecord): JobSpec {
    const folder = this.store.folder(id);
    const { outputs, simplify, ...work } = request;
    const results: ResultFile[] = outputs.map(({ output, format }) => ({
      ...{ output, format, simplify },
      path: this.path(id, output, format),
    }));
    const input = inputOf(source, folder);
    return {
      ...work,
      id,
      priority,
      size: { width, height },
      input,
      scratchDir: folder,
      results,
      journal: join(folder, 'bands'),
      singleFile: source.kind === 'upload',
    };
  }

  /**
   * A result of a job that has succeeded; one that it was not asked for is made now, of its mask.
   * @throws RequestError `not-ready` for a job that has not ended so, `not-found` for a result that its
   *   mask is not enough for
   */
  async get(record: JobRecord, output: Output, format: Format): Promise<string> {
    if (record.state !== 'succeeded') {
      const why = record.error ? `: ${record.error.detail}` : '';
      throw new RequestError('not-ready', `the job is ${record.state}${why}`);
    }
    const path = this.path(record.id, output, format);
    const making = this.#making.get(path) ?? this.#make(record, { output, format, path });
    this.#making.set(path, making);
    await making.finally(() => this.#making.delete(path));
    return path;
  }

  /**
   * A tile of a job's image, or of its mask, for a viewer.
   * @throws RequestError `not-found` for a job that has no such picture
   */
  async tile(
    record: JobRecord,
    layer: 'image' | 'mask',
    tile: ViewTile,
    signal?: AbortSignal,
  ): Promise<Buffer> {
    if (record.state === 'failed' || record.state === 'cancelled') {
      throw new RequestError('not-found', `the job has ${record.state}: its image is not kept`);
    }
    const mask = layer === 'mask' ? await this.get(record, 'labels', 'tiff') : null;
    return this.readers.tile(this.specOf(record), await this.#cardOf(record), mask, tile, signal);
  }

  /** What is done of a running job's mask, as a PNG; null where it does not run. */
  preview(id: string): Promise<Buffer | null> {
    return this.worker.call('preview', id);
  }

  /** Has what is shown of a job's files closed: they are about to go. */
  forget(id: string): Promise<void> {
    return this.readers.forget(this.store.folder(id));
  }

  /** Resolves when what a job was asked for would survive the end of this machine. */
  settle({ id, request: { outputs } }: JobRecord): Promise<void> {
    const names = outputs.map(({ output, format }) => basename(this.path(id, output, format)));
    return this.store.settle(id, names);
  }

  /** Makes a result of a finished mask, unless it is there: under its name once it would survive. */
  async #make(record: JobRecord, result: ResultFile): Promise<void> {
    const { output, format, path } = result;
    const isThere = async (file: string) => (await stat(file).catch(() => null)) !== null;
    if (await isThere(path)) return;
    const mask = this.path(record.id, 'labels', 'tiff');
    if (output === 'probabilities' || !(await isThere(mask))) {
      const known = record.request.outputs.map((o) => `${o.output} as ${o.format}`).join(', ');
      throw new RequestError('not-found', `the job made no ${output} as ${format}, but ${known}`);
    }
    const { simplify } = record.request;
    const made = `${path}.made`;
    const { width, height } = record.image;
    const files = [{ ...result, simplify, path: made }];
    await this.readers.derive(this.specOf(record), await this.#cardOf(record), mask, files, width * height);
    await this.store.adopt(record.id, basename(made), basename(path));
  }

  async #cardOf({ request }: JobRecord): Promise<Card> {
    return readCard((await this.shelf.find(request.model)).folder);
  }
}
