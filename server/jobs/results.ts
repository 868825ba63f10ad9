import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Card } from '../../model/shelf/card.js';
import type { ModelShelf } from '../../model/shelf/shelf.js';
import type { ViewPlane, ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';
import type { Format, Output, ResultFile } from '../contract/outputs.js';
import { withoutNames } from '../contract/private-names.js';
import { pixelsOf } from '../contract/receipt.js';
import type { Readers } from '../readers/readers.js';
import type { WorkerCalls } from '../worker/methods.js';
import { resultName } from './folder.js';
import { namesOf } from './hidden-source.js';
import type { JobRecord } from './job.js';
import { noJob } from './record.js';
import { specOf } from './spec.js';
import type { JobStore } from './store.js';

/** The results of jobs: those that they wrote, those derived on request, and what viewers see of them. */
export class JobResults {
  /** Results that are being derived, by their paths. */
  readonly #pending = new Map<string, Promise<void>>();
  /** What reads or writes the files of jobs. */
  readonly #uses = new Set<Use>();
  /** The ids of jobs that are being removed. */
  readonly #removed = new Set<string>();

  constructor(
    private readonly store: JobStore,
    private readonly worker: Pick<WorkerCalls, 'preview'>,
    private readonly readers: Pick<Readers, 'derive' | 'tile' | 'evict'>,
    private readonly shelf: Pick<ModelShelf, 'find'>,
    /** Whether errors have no names of images. */
    private readonly hidesNames = false,
  ) {}

  /** The path of a result, whether it exists or not. */
  path(id: string, output: Output, format: Format): string {
    return join(this.store.folder(id), resultName(output, format));
  }

  /**
   * Returns the path of a result of a succeeded job. One that the job did not write is derived from its mask.
   * @throws RequestError `not-ready` for a job that has not succeeded, `not-found` for a result that cannot be
   *   derived from its mask, or of a job that is removed meanwhile
   */
  async get(record: JobRecord, output: Output, format: Format): Promise<string> {
    if (record.state !== 'succeeded') {
      const reason = record.error ? `: ${record.error.detail}` : '';
      throw new RequestError('not-ready', `the job is ${record.state}${reason}`);
    }
    const path = this.path(record.id, output, format);
    await (this.#pending.get(path) ?? this.#begin(record, { output, format, path }));
    return path;
  }

  /**
   * Returns a tile of a job's image, or of its mask, for a viewer; of a stack, of one plane.
   * @throws RequestError `not-found` for a job that has no such picture
   */
  async tile(
    record: JobRecord,
    layer: 'image' | 'mask',
    tile: ViewTile,
    {
      plane = null,
      signal,
    }: { readonly plane?: ViewPlane | null; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Buffer> {
    if (record.state === 'failed' || record.state === 'cancelled') {
      throw new RequestError('not-found', `the job has ${record.state}: its image was removed`);
    }
    const mask = layer === 'mask' ? await this.get(record, 'labels', 'tiff') : null;
    const card = await this.#cardOf(record);
    const spec = this.#specOf(record);
    const viewed = plane ? { ...spec, choice: { ...spec.choice, ...plane.image } } : spec;
    return this.#untilRemoved(record.id, (removal) =>
      this.#unnamed(record, this.readers.tile(viewed, card, mask, tile, { plane, signal, removal })),
    );
  }

  /** Returns the finished part of a running job's mask, as a PNG; null when the job does not run. */
  preview(id: string): Promise<Buffer | null> {
    return this.worker.preview(id);
  }

  /** Closes what viewers have open of a job's files: they are about to be removed. */
  closeFiles(id: string): Promise<void> {
    return this.readers.evict(this.store.folder(id));
  }

  /** Removes the files of a job while nothing reads or writes them: what uses them is cancelled, and ended. */
  async withdraw(id: string, remove: () => Promise<void>): Promise<void> {
    this.#removed.add(id);
    try {
      const uses = [...this.#uses].filter((use) => use.id === id);
      for (const { controller } of uses) controller.abort(noJob(id));
      await Promise.allSettled(uses.map(({ ended }) => ended));
      await this.closeFiles(id);
      await remove();
    } finally {
      this.#removed.delete(id);
    }
  }

  /** Resolves when the results that a job wrote would survive a power failure. */
  sync({ id, request: { outputs } }: JobRecord): Promise<void> {
    const names = outputs.map(({ output, format }) => resultName(output, format));
    return this.store.sync(id, names);
  }

  #begin(record: JobRecord, result: ResultFile): Promise<void> {
    const ended = this.#untilRemoved(record.id, (removal) => this.#derive(record, result, removal)).finally(
      () => this.#pending.delete(result.path),
    );
    this.#pending.set(result.path, ended);
    return ended;
  }

  /**
   * Uses the files of a job, until it is removed.
   * @throws RequestError `not-found` where it is
   */
  async #untilRemoved<Value>(id: string, work: (removal: AbortSignal) => Promise<Value>): Promise<Value> {
    if (this.#removed.has(id)) throw noJob(id);
    const controller = new AbortController();
    const use: Use = { id, controller, ended: work(controller.signal) };
    this.#uses.add(use);
    try {
      return (await use.ended) as Value;
    } catch (error) {
      throw controller.signal.aborted ? noJob(id) : error;
    } finally {
      this.#uses.delete(use);
    }
  }

  /** Derives a result from the finished mask, unless it exists. It gets its name once it would survive. */
  async #derive(record: JobRecord, result: ResultFile, removal: AbortSignal): Promise<void> {
    const { output, format, path } = result;
    if (await exists(path)) return;
    const mask = this.path(record.id, 'labels', 'tiff');
    if (output === 'probabilities' || !(await exists(mask))) {
      const known = record.request.outputs.map((o) => `${o.output} as ${o.format}`).join(', ');
      throw new RequestError('not-found', `the job has no ${output} as ${format}; it has ${known}`);
    }
    const { image, request } = record;
    const draft = `${path}.made`;
    const files = [{ ...result, simplify: request.simplify, path: draft }];
    const pixels = pixelsOf(image);
    const card = await this.#cardOf(record);
    try {
      const job = this.#specOf(record);
      await this.#unnamed(record, this.readers.derive(job, card, mask, files, { pixels, removal }));
      await this.store.publish(record, basename(draft), basename(path));
    } catch (error) {
      // A process that was killed leaves them, and what they take is not counted.
      await this.store.discard(record, basename(draft)).catch(() => undefined);
      // Another result may have been published meanwhile, and the drafts counted with it.
      if (!this.#removed.has(record.id)) await this.store.measure(record).catch(() => undefined);
      throw error;
    }
  }

  #unnamed<Value>(record: JobRecord, reading: Promise<Value>): Promise<Value> {
    if (!this.hidesNames) return reading;
    return reading.catch((error: unknown) => {
      throw withoutNames(error, namesOf(record));
    });
  }

  #specOf(record: JobRecord) {
    return specOf(record, this.store.folder(record.id));
  }

  async #cardOf({ request }: JobRecord): Promise<Card> {
    return (await this.shelf.find(request.model)).card;
  }
}

/** What reads or writes the files of a job. */
interface Use {
  readonly id: string;
  /** Ends it. */
  readonly controller: AbortController;
  readonly ended: Promise<unknown>;
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => null)) !== null;
