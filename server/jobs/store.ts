import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RequestError } from '../errors.js';
import { FORMATS } from '../outputs.js';
import type { JobRecord } from './job.js';
import { startTimeOf } from './process-start.js';
import { parseRecord, type UnreadableJob, unreadable, writeRecord } from './record.js';

const RECORD = 'job.json';
const LOCK = 'server.lock';
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
  private constructor(private readonly root: string) {}

  /**
   * Opens a folder for one server; removes what a server that was killed left half done.
   * @throws RequestError `folder-in-use` where another server has it
   */
  static async open(root: string): Promise<StoredJobs> {
    await mkdir(join(root, 'jobs'), { recursive: true });
    await lock(join(root, LOCK));
    const store = new JobStore(root);
    const records: JobRecord[] = [];
    const unreadable: UnreadableJob[] = [];
    for (const id of await readdir(join(root, 'jobs'))) {
      if (!ID.test(id)) continue;
      try {
        const record = await store.#read(id);
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

  /** Resolves when the record would survive the end of this machine. */
  async write(record: JobRecord): Promise<void> {
    const path = join(this.folder(record.id), RECORD);
    const file = await open(`${path}.new`, 'w');
    try {
      await file.writeFile(writeRecord(record));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  /** Removes what an ended job needs no more: its journal and what was half written; the rest, too, unless it succeeded. */
  async clear({ id, request }: JobRecord, succeeded: boolean): Promise<void> {
    const folder = this.folder(id);
    const results = request.outputs.map(({ output, format }) => `${output}${FORMATS[format].ending}`);
    const kept = succeeded ? [RECORD, 'upload', ...results] : [RECORD];
    for (const name of await readdir(folder)) {
      if (!kept.includes(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
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

  /** Lets another server have the folder. */
  async close(): Promise<void> {
    await rm(join(this.root, LOCK), { force: true });
  }
}

/** A file with the number and the start of the process that has the folder; one that is gone has it no more. */
async function lock(path: string): Promise<void> {
  const mine = { pid: process.pid, started: await startTimeOf(process.pid) };
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text !== null) {
    const { pid, started } = JSON.parse(text || '{}') as Partial<typeof mine>;
    const alive = pid !== undefined && pid !== process.pid && (await startTimeOf(pid)) === started;
    if (alive)
      throw new RequestError('folder-in-use', `process ${pid} has the data folder; give this one its own`);
  }
  await writeFile(path, JSON.stringify(mine));
}
