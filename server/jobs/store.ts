import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../contract/problems.js';
import { DiskAccount, NO_LIMITS } from '../storage/disk-account.js';
import { replaceFile, syncFile, syncFolder } from '../storage/durable.js';
import { RECORD_NAME, RESULT_NAMES, UPLOAD_NAME } from './folder.js';
import { hasEnded, type JobRecord } from './job.js';
import { formatRecord, parseRecord, type UnreadableJob, unreadable } from './record.js';

/** The names that `create` gives to folders; all others below `jobs/` are ignored. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface StoredJobs {
  readonly store: JobStore;
  readonly records: readonly JobRecord[];
  readonly unreadable: readonly UnreadableJob[];
}

/**
 * Stores jobs as folders. `jobs/ID/` holds a job's image, its journal, its results and its record, `job.json`.
 * Records are replaced atomically, so that they are always whole. A folder without one belongs to a request that
 * ended with its server, and is removed. A record that exists but cannot be read (a failing disk, a later version, a
 * mistake in an editor) still proves that there is a job: its folder stays untouched.
 */
export class JobStore {
  /** The latest pending write of each job's record. */
  readonly #pending = new Map<string, Promise<void>>();

  private constructor(
    readonly root: string,
    private readonly account: DiskAccount,
  ) {}

  /**
   * Opens a folder that this process holds the lock of; removes what a killed server left unfinished.
   * @param account counts what jobs have on the disk
   */
  static async open(root: string, account = new DiskAccount(NO_LIMITS)): Promise<StoredJobs> {
    await mkdir(join(root, 'jobs'), { recursive: true });
    const store = new JobStore(root, account);
    const records: JobRecord[] = [];
    const unreadable: UnreadableJob[] = [];
    for (const id of await readdir(join(root, 'jobs'))) {
      if (!ID.test(id)) continue;
      try {
        const record = await store.#read(id);
        if (record && hasEnded(record)) await store.#clear(record);
        if (record) {
          records.push(record);
          await store.measure(record, hasEnded(record) ? 0 : record.expectedBytes);
        } else await store.remove(id);
      } catch (error) {
        unreadable.push({ id, reason: (error as Error).message });
      }
    }
    return { store, records, unreadable };
  }

  /** The path of a job's folder. */
  folder(id: string): string {
    return join(this.root, 'jobs', id);
  }

  /** Creates the folder of a new job, which `add` completes with its record. */
  async create(): Promise<{ id: string; folder: string }> {
    const id = randomUUID();
    await mkdir(this.folder(id));
    return { id, folder: this.folder(id) };
  }

  /**
   * Claims the disk space that a job is expected to take beside what its folder has; a negative number gives it back.
   * @throws RequestError `disk-full`, `quota-exceeded`
   */
  claim({ id, owner }: Pick<JobRecord, 'id' | 'owner'>, expectedBytes: number): void {
    this.account.claim(id, owner, this.account.bytesOf(id) + expectedBytes);
  }

  /** Makes a job of a folder: syncs its files first, and then writes the record that refers to them. */
  async add(record: JobRecord): Promise<void> {
    await this.sync(record.id, record.source.kind === 'upload' ? [UPLOAD_NAME] : []);
    await syncFolder(join(this.root, 'jobs'));
    await this.write(record);
  }

  /** Resolves when files of a job, and their names, would survive a power failure. */
  async sync(id: string, files: readonly string[]): Promise<void> {
    const folder = this.folder(id);
    for (const name of files) await syncFile(join(folder, name));
    await syncFolder(folder);
  }

  /** Resolves when the record would survive a power failure. Writes of one job's record happen in order. */
  async write(record: JobRecord): Promise<void> {
    const { id } = record;
    const before = this.#pending.get(id)?.catch(() => undefined);
    const write = () => replaceFile(join(this.folder(id), RECORD_NAME), formatRecord(record));
    const writing = before ? before.then(write) : write();
    this.#pending.set(id, writing);
    try {
      await writing;
    } finally {
      if (this.#pending.get(id) === writing) this.#pending.delete(id);
    }
  }

  /**
   * Writes the last record of a job, and then removes what it no longer needs. After a crash in between, the next
   * start removes the rest.
   */
  async end(record: JobRecord): Promise<void> {
    try {
      await this.write(record);
    } catch (error) {
      if (codeOf(error) !== 'disk-full') throw error;
      await this.#clear(record); // frees space for it
      await this.write(record);
    }
    await this.#clear(record);
    await this.measure(record);
  }

  /** Renames a complete file; resolves when both content and name would survive a power failure. */
  async publish(record: JobRecord, draft: string, name: string): Promise<void> {
    const folder = this.folder(record.id);
    await syncFile(join(folder, draft));
    await rename(join(folder, draft), join(folder, name));
    await syncFolder(folder);
    await this.measure(record);
  }

  /**
   * Removes a job with all of its files.
   * @param files the names in its folder, where they are known, which spares listing it; others are removed, too
   */
  async remove(id: string, files?: readonly string[]): Promise<void> {
    const folder = this.folder(id);
    try {
      // Nearly all folders have files alone. `rm` would find out what each of them is.
      await Promise.all((files ?? (await readdir(folder))).map((name) => unlink(join(folder, name))));
      await rmdir(folder);
    } catch {
      // A result that is being derived may add files until its folder is gone.
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    } finally {
      this.account.release(id);
    }
  }

  /** Removes what is left of files that were never published: all that begins with the name of their draft. */
  async discard({ id }: JobRecord, draft: string): Promise<void> {
    const folder = this.folder(id);
    for (const name of await readdir(folder)) {
      if (name.startsWith(draft)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }

  /** Notes what a job's folder has, and what it is still expected to take. */
  async measure({ id, owner }: JobRecord, expectedBytes = 0): Promise<void> {
    this.account.record(id, owner, (await bytesBelow(this.folder(id))) + expectedBytes);
  }

  /** Removes all files of an ended job but its record; of one that succeeded, its image and its results stay, too. */
  async #clear({ id, state }: JobRecord): Promise<void> {
    const folder = this.folder(id);
    const retained = state === 'succeeded' ? [RECORD_NAME, UPLOAD_NAME, ...RESULT_NAMES] : [RECORD_NAME];
    for (const name of await readdir(folder)) {
      if (!retained.includes(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }

  /**
   * Reads the record of a job; null when there is none.
   * @throws RequestError `unreadable-record`
   */
  async #read(id: string): Promise<JobRecord | null> {
    const text = await readFile(join(this.folder(id), RECORD_NAME), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw unreadable(`its job.json cannot be read (${error.code})`, error);
      },
    );
    return text === null ? null : parseRecord(text, id);
  }
}

/** Bytes of all files below a folder. What is removed meanwhile, such as parts of a draft, has none. */
async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true });
  const [folders, files] = [true, false].map((isFolder) =>
    entries.filter((entry) => entry.isDirectory() === isFolder).map(({ name }) => join(folder, name)),
  ) as [string[], string[]];
  const sizes = await Promise.all(files.map((path) => unlessGone(stat(path).then(({ size }) => size))));
  let sum = sizes.reduce((total, bytes) => total + bytes, 0);
  for (const path of folders) sum += await unlessGone(bytesBelow(path)); // drafts have tens of thousands
  return sum;
}

const unlessGone = (bytes: Promise<number>): Promise<number> =>
  bytes.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return 0;
    throw error;
  });
