import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metrics } from '../metrics/metrics.js';
import { ByteCache } from '../storage/byte-cache.js';
import { filesOf, resultName, UPLOAD_NAME } from './folder.js';
import type { FileStamp, JobRecord, RecordedReceipt } from './job.js';
import type { Keyed, ResultKeys } from './result-key.js';
import type { JobStore } from './store.js';

/** The results of an earlier job, for a later one with the same key. */
export interface EarlierResults extends Pick<JobRecord, 'image' | 'plan' | 'progress'> {
  readonly receipt: RecordedReceipt;
  /** The job that computed them. */
  readonly job: string;
  readonly computedAt: string;
  /** Size of their files together. */
  readonly bytes: number;
  /** Puts their files into the folder of the later job; false, and no file, where one is missing or was changed. */
  readonly place: (folder: string) => Promise<boolean>;
}

/** A response of `POST /v1/segment` in memory. */
interface HeldResponse extends Omit<EarlierResults, 'place'> {
  readonly files: readonly { readonly name: string; readonly content: Buffer }[];
}

export interface ResultCacheOptions {
  /** Null if nothing is to be found again. */
  readonly resultKeys: Pick<ResultKeys, 'of'> | null;
  readonly store: Pick<JobStore, 'folder'>;
  readonly metrics: Pick<Metrics, 'cacheHits' | 'cacheMisses' | 'cacheBytes'>;
  /** Finds the latest succeeded job whose results have a key; null if there is none. */
  readonly findJob: (key: string) => JobRecord | null;
  /** Bytes of memory for results of `POST /v1/segment`, whose jobs are removed with their files; 0 for none. */
  readonly responseCacheBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Finds what was computed before: the files of jobs that are still there, which a later job links into its folder, and
 * in memory, up to a number of bytes, the results of requests that waited for them.
 */
export class ResultCache {
  readonly #responses: ByteCache<HeldResponse>;

  constructor(private readonly options: ResultCacheOptions) {
    this.#responses = new ByteCache(options.responseCacheBytes);
  }

  /** The key of a job's results; null where they cannot be found again. See `ResultKeys.of`. */
  async keyOf(job: Keyed): Promise<string | null> {
    return (await this.options.resultKeys?.of(job)) ?? null;
  }

  /** Counts a request that was looked up. */
  count(isHit: boolean): void {
    const { cacheHits, cacheMisses } = this.options.metrics;
    (isHit ? cacheHits : cacheMisses).inc({ cache: 'results' });
  }

  /** The results with a key; null if there are none. */
  find(key: string): EarlierResults | null {
    const held = this.#responses.get(key);
    if (held) {
      return { ...held, place: (folder) => writeAll(folder, held.files) };
    }
    const record = this.options.findJob(key);
    if (!record?.receipt || !record.cache?.files) return null;
    const { id, image, plan, progress, receipt, finishedAt } = record;
    const { files } = record.cache;
    const from = this.options.store.folder(id);
    return {
      image,
      plan,
      progress,
      receipt,
      job: record.cachedFrom ?? id,
      computedAt: receipt.cached?.computedAt ?? finishedAt!,
      bytes: Object.values(resultsOf(files)).reduce((sum, { bytes }) => sum + bytes, 0),
      place: (folder) => linkAll(files, from, folder),
    };
  }

  /**
   * Has the results of a job found by later ones, unless its image, its model or its tissue mask was changed while it
   * ran, or its device would not compute the same again.
   * @param isAwaited whether its files are about to be removed: they are held in memory
   * @returns what its record is to say about it. Never rejects
   */
  async add(record: JobRecord, receipt: RecordedReceipt, isAwaited: boolean): Promise<JobRecord['cache']> {
    if (record.cache === null || !receipt.repeatable) return null;
    try {
      const { key } = record.cache;
      if ((await this.keyOf(record)) !== key) return null;
      if (!isAwaited) return { key, files: await this.#stamps(record) };
      await this.#hold(key, record, receipt);
      return null;
    } catch {
      return null; // the results are there; that nobody finds them again is no reason to fail
    }
  }

  /** Evicts the results with a key from memory, as their owner has removed the job that has them. */
  forget(key: string): void {
    this.#responses.delete(key);
    this.options.metrics.cacheBytes.set({ cache: 'results' }, this.#responses.bytes);
  }

  async #stamps(record: JobRecord): Promise<Readonly<Record<string, FileStamp>>> {
    const folder = this.options.store.folder(record.id);
    const stamps = await Promise.all(
      filesOf(record).map(async (name) => [name, await stampOf(join(folder, name))]),
    );
    return Object.fromEntries(stamps);
  }

  async #hold(
    key: string,
    { id, image, plan, progress, request }: JobRecord,
    receipt: RecordedReceipt,
  ): Promise<void> {
    const folder = this.options.store.folder(id);
    const names = request.outputs.map(({ output, format }) => resultName(output, format));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    if (bytes > this.#responses.maxBytes) return;
    const files: HeldResponse['files'] = await Promise.all(
      names.map(async (name) => ({ name, content: await readFile(join(folder, name)) })),
    );
    const computedAt = new Date(this.options.now()).toISOString();
    const held = { image, plan, progress, receipt, job: id, computedAt, bytes, files };
    this.#responses.set(key, held, bytes + JSON.stringify(receipt).length);
    this.options.metrics.cacheBytes.set({ cache: 'results' }, this.#responses.bytes);
  }
}

/** What a file's content was last changed as. */
async function stampOf(path: string): Promise<FileStamp> {
  const { size, mtimeMs } = await stat(path);
  return { bytes: size, modifiedMs: mtimeMs };
}

const isUnchanged = async (path: string, { bytes, modifiedMs }: FileStamp): Promise<boolean> => {
  const found = await stampOf(path).catch(() => null);
  return found?.bytes === bytes && found.modifiedMs === modifiedMs;
};

async function writeAll(folder: string, files: HeldResponse['files']): Promise<boolean> {
  await Promise.all(files.map(({ name, content }) => writeFile(join(folder, name), content)));
  return true;
}

/** The results among the files of a job. */
function resultsOf(files: Readonly<Record<string, FileStamp>>): Readonly<Record<string, FileStamp>> {
  const { [UPLOAD_NAME]: _upload, ...results } = files;
  return results;
}

/** Links files from one folder to another: they outlive the first. All of them, or none. */
async function linkAll(
  files: Readonly<Record<string, FileStamp>>,
  from: string,
  to: string,
): Promise<boolean> {
  const { [UPLOAD_NAME]: upload } = files;
  const linked: string[] = [];
  try {
    for (const [name, stamp] of Object.entries(resultsOf(files))) {
      if (!(await isUnchanged(join(from, name), stamp))) throw new Error(`${name} was changed`);
      await link(join(from, name), join(to, name));
      linked.push(name);
    }
  } catch {
    for (const name of linked) await rm(join(to, name), { force: true });
    return false;
  }
  if (upload) await shareUpload(from, to, upload).catch(() => undefined); // they only take twice the space
  return true;
}

/** Replaces the upload of a job by the same bytes of another one. */
async function shareUpload(from: string, to: string, stamp: FileStamp): Promise<void> {
  const [earlier, own] = [join(from, UPLOAD_NAME), join(to, UPLOAD_NAME)];
  if (!(await isUnchanged(earlier, stamp))) return;
  await link(earlier, `${own}.link`);
  await rename(`${own}.link`, own);
}
