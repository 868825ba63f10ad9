import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FORMATS, formatsOf, OUTPUTS } from '../contract/outputs.js';
import { codeOf } from '../contract/problems.js';
import { syncFile, syncFolder } from '../storage/durable.js';
import { hasEnded, type JobRecord } from './job.js';
import { parseRecord, type UnreadableJob, unreadable, writeRecord } from './record.js';

const RECORD = 'job.json';
/** A job's image, where its client sent it. */
const UPLOAD = 'upload';
/** Everything that may be made of a job. */
const RESULTS = OUTPUTS.flatMap((output) =>
  formatsOf(output).map((format) => `${output}${FORMATS[format].ending}`),
);
/** What `create` names folders; nothing else below `jobs/` is ours. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface StoredJobs {
  readonly store: JobStore;
  readonly records: readonly JobRecord[];
  readonly unreadable: readonly UnreadableJob[];
}

/**
 * Jobs as folders: `jobs/ID/` holds a job's image, its journal, its results, and `job.json`, which is
 * written beside itself, synced and renamed, so that it is always whole. A folder without one is what
 * was left of a request that ended with its server. A record that is there and cannot be read (a disk that
 * errs, a later version, a slip of an editor) is evidence of a job: its folder is left as it is.
 */
export class JobStore {
  /** The last write of each job's record that has not ended. */
  readonly #writing = new Map<string, Promise<void>>();

  private constructor(readonly root: string) {}

  /**
   * Opens a folder whose lock is ours; removes what a server that was killed left half done.
   */
  static async open(root: string): Promise<StoredJobs> {
    await mkdir(join(root, 'jobs'), { recursive: true });
    const store = new JobStore(root);
    const records: JobRecord[] = [];
    const unreadable: UnreadableJob[] = [];
    for (const id of await readdir(join(root, 'jobs'))) {
      if (!ID.test(id)) continue;
      try {
        const record = await store.#read(id);
        if (record && hasEnded(record)) await store.clear(record);
        if (record) records.push(record);
        else await store.remove(id);
      } catch (error) {
        unreadable.push({ id, reason: (error as Error).message });
      }
    }
    return { store, records, unreadable };
  }

  /** Where everything of a job is. */
  folder(id: string): string {
    return join(this.root, 'jobs', id);
  }

  /** A folder for a job that is not yet one: it becomes one when its record is written. */
  async create(): Promise<{ id: string; folder: string }> {
    const id = randomUUID();
    await mkdir(this.folder(id));
    return { id, folder: this.folder(id) };
  }

  /** Makes a job of a folder: first what it holds is on the disk, then the record that says so. */
  async add(record: JobRecord): Promise<void> {
    await this.settle(record.id, record.source.kind === 'upload' ? [UPLOAD] : []);
    await syncFolder(join(this.root, 'jobs'));
    await this.write(record);
  }

  /** Resolves when files of a job would survive the end of this machine, with their names. */
  async settle(id: string, files: readonly string[]): Promise<void> {
    const folder = this.folder(id);
    for (const name of files) await syncFile(join(folder, name));
    await syncFolder(folder);
  }

  /**
   * Resolves when the record would survive the end of this machine. Records of one job are written one after
   * the other: the last is the one that stays.
   */
  async write(record: JobRecord): Promise<void> {
    const { id } = record;
    const before = this.#writing.get(id)?.catch(() => undefined);
    const writing = before ? before.then(() => this.#write(record)) : this.#write(record);
    this.#writing.set(id, writing);
    try {
      await writing;
    } finally {
      if (this.#writing.get(id) === writing) this.#writing.delete(id);
    }
  }

  async #write(record: JobRecord): Promise<void> {
    const folder = this.folder(record.id);
    const path = join(folder, RECORD);
    try {
      const file = await open(`${path}.new`, 'w');
      try {
        await file.writeFile(writeRecord(record));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
    } catch (error) {
      await rm(`${path}.new`, { force: true }).catch(() => undefined);
      throw error;
    }
    await syncFolder(folder);
  }

  /**
   * Writes down how a job has ended, and then removes what it needs no more: a machine that ends in between
   * finds the record, and the next start removes the rest.
   */
  async end(record: JobRecord): Promise<void> {
    try {
      await this.write(record);
    } catch (error) {
      if (codeOf(error) !== 'disk-full') throw error;
      await this.clear(record); // makes room for it
      await this.write(record);
    }
    await this.clear(record);
  }

  /** Removes what an ended job needs no more: its journal and what was half written; all else, too, unless it succeeded. */
  async clear({ id, state }: JobRecord): Promise<void> {
    const folder = this.folder(id);
    const kept = state === 'succeeded' ? [RECORD, UPLOAD, ...RESULTS] : [RECORD];
    for (const name of await readdir(folder)) {
      if (!kept.includes(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }

  /** Gives a file that is complete its name; resolves when both would survive. */
  async adopt(id: string, from: string, name: string): Promise<void> {
    const folder = this.folder(id);
    await syncFile(join(folder, from));
    await rename(join(folder, from), join(folder, name));
    await syncFolder(folder);
  }

  /** Removes a job with everything that it has on the disk. */
  async remove(id: string): Promise<void> {
    await rm(this.folder(id), { recursive: true, force: true });
  }

  /**
   * The record of a job; null where there is none.
   * @throws RequestError `unreadable-record`
   */
  async #read(id: string): Promise<JobRecord | null> {
    const text = await readFile(join(this.folder(id), RECORD), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw unreadable(`its job.json cannot be read (${error.code})`, error);
      },
    );
    return text === null ? null : parseRecord(text, id);
  }
}
