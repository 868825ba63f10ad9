import { randomUUID } from 'node:crypto';
import { link, open, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RequestError } from '../contract/errors.js';
import { startTimeOf } from './process-start.js';

/** A lease that is not renewed for so long has ended. */
export const LEASE_MS = 15_000;
const RENEW_MS = 5000;
const LOOK_MS = 1000;
/** `server-GENERATION.lock`; the highest one counts. */
const NAME = /^server-(\d{1,15})\.lock$/;
/** What version 0.1 wrote: a process of this machine, without a lease. */
const LEGACY = 'server.lock';

const holderSchema = z.object({
  /** Different for every server, so that nobody takes another's for its own. */
  token: z.string(),
  /** Of the running system and of its PID namespace; null where the system does not tell. */
  boot: z.string().nullable(),
  namespace: z.string().nullable(),
  host: z.string(),
  pid: z.int(),
  started: z.string().nullable(),
  /** Changes with each renewal; whoever waits for the lease to end watches it, and compares no clocks. */
  renewals: z.int(),
  released: z.boolean(),
});
export type Holder = z.output<typeof holderSchema>;
const legacySchema = z.object({ pid: z.int(), started: z.string().nullable() });

export interface LockOptions {
  /** Monotonic, in ms. Default this process's own. */
  readonly now?: () => number;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told once when another's lease has to be waited for. */
  readonly onWaiting?: (holder: string) => void;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Called when another server has taken the folder: this one must not touch it any more. */
  readonly onLost: (by: string) => void;
  /** Who this server is; for tests. */
  readonly self?: Pick<Holder, 'boot' | 'namespace' | 'host' | 'pid' | 'started'>;
}

/**
 * A folder's lock, for one server at a time, on one machine or several.
 *
 * Each holder is a file of the next number, which is linked into place whole: of two that want the same
 * number, one gets it. So a lock that is found to be free is taken by taking the number after it, and nobody
 * can take it twice. Within one PID namespace of one running system a holder is asked for by its process.
 * From anywhere else it is only seen by its lease, which it renews: who sees none renewed for 15 s of its own
 * clock takes the folder.
 */
export class FolderLock {
  readonly #stopped = new AbortController();
  #renewals = 0;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly folder: string,
    private readonly generation: number,
    private readonly holder: Omit<Holder, 'renewals' | 'released'>,
    private readonly options: LockOptions,
  ) {}

  /**
   * Takes a folder, when its lease has ended.
   * @throws RequestError `folder-in-use` where a process of this machine has it; `cancelled` by the signal
   */
  static async take(folder: string, options: LockOptions): Promise<FolderLock> {
    const { now = () => performance.now(), wait, onWaiting = () => {}, signal } = options;
    const self = options.self ?? (await thisProcess());
    let seen = { lease: '', at: 0 };
    for (;;) {
      if (signal.aborted) throw new RequestError('cancelled', 'stopped while it waited for the data folder');
      const generation = await newest(folder);
      const text = generation === 0 ? await legacyOf(folder) : await textOf(folder, generation);
      const holder = parse(text);
      const lease = `${generation} ${text}`;
      const isOver = seen.lease === lease && now() - seen.at >= LEASE_MS;
      if (holder === 'free' || isOver || (await isGone(holder, self))) {
        const mine = { token: randomUUID(), ...self };
        const lock = await FolderLock.#claim(folder, generation + 1, mine, options);
        if (lock) return lock;
        continue; // another was quicker
      }
      if (isNear(holder, self)) {
        throw new RequestError(
          'folder-in-use',
          `process ${holder.pid} has the data folder; give this one its own`,
        );
      }
      if (seen.lease !== lease) {
        if (seen.lease === '') onWaiting(`process ${holder.pid} of ${holder.host}`);
        seen = { lease, at: now() };
      }
      await wait(LOOK_MS, signal);
    }
  }

  static async #claim(
    folder: string,
    generation: number,
    holder: Omit<Holder, 'renewals' | 'released'>,
    options: LockOptions,
  ): Promise<FolderLock | null> {
    const lock = new FolderLock(folder, generation, holder, options);
    const draft = join(folder, `server-${holder.token}.new`);
    await writeFile(draft, lock.#text(false));
    try {
      await link(draft, pathOf(folder, generation));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
    // A number that was free because its holder and the next one had both come and gone.
    if ((await newest(folder)) !== generation) {
      await rm(pathOf(folder, generation), { force: true });
      return null;
    }
    for (const name of await readdir(folder)) {
      const number = Number(NAME.exec(name)?.[1] ?? Number.NaN);
      if (number < generation || name === LEGACY) await rm(join(folder, name), { force: true });
    }
    void lock.#keep();
    return lock;
  }

  /** Lets another server have the folder: the number stays, so that it is taken in turn. */
  async release(): Promise<void> {
    this.#stopped.abort();
    await this.#renewing;
    if ((await newest(this.folder)) === this.generation) await this.#write(true);
  }

  /** Renews the lease until it is released, or lost. */
  async #keep(): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      await this.options.wait(RENEW_MS, signal);
      if (signal.aborted) return;
      this.#renewing = this.#renew().catch(() => undefined); // a disk that errs is tried again
      await this.#renewing;
    }
  }

  async #renew(): Promise<void> {
    const generation = await newest(this.folder);
    if (generation === this.generation) return this.#write(false);
    this.#stopped.abort();
    const by = parse(await textOf(this.folder, generation).catch(() => null));
    this.options.onLost(by === 'free' ? 'another server' : `process ${by.pid} of ${by.host}`);
  }

  async #write(released: boolean): Promise<void> {
    this.#renewals++;
    const path = pathOf(this.folder, this.generation);
    const draft = join(this.folder, `server-${this.holder.token}.new`);
    try {
      await writeFile(draft, this.#text(released));
      await rename(draft, path);
    } catch {
      // A full disk has room for what is there already: a lease goes on, and ends, all the same.
      await rm(draft, { force: true });
      const file = await open(path, 'r+');
      await file.write(this.#text(released), 0).finally(() => file.close());
    }
  }

  /** Always of one length, so that it can be written over. */
  #text(released: boolean): string {
    const text = JSON.stringify({ ...this.holder, renewals: this.#renewals, released } satisfies Holder);
    return text.padEnd(LOCK_BYTES);
  }
}

/** More than a holder takes. */
const LOCK_BYTES = 1024;

const pathOf = (folder: string, generation: number): string => join(folder, `server-${generation}.lock`);

async function newest(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

const textOf = (folder: string, generation: number): Promise<string | null> =>
  readFile(pathOf(folder, generation), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null; // it was cleared away: the next look finds what followed
    throw error;
  });

/** The lock of version 0.1 as a holder of this machine, which it was. */
async function legacyOf(folder: string): Promise<string | null> {
  const text = await readFile(join(folder, LEGACY), 'utf8').catch(() => null);
  const legacy = legacySchema.safeParse(asJson(text));
  if (!legacy.success) return null;
  const { boot, namespace, host } = await thisProcess();
  const more = { token: LEGACY, boot, namespace, host, renewals: 0, released: false };
  return JSON.stringify({ ...legacy.data, ...more } satisfies Holder);
}

/** What a lock's file says; one that is torn, or lets go, holds nothing. */
function parse(text: string | null): Holder | 'free' {
  const parsed = holderSchema.safeParse(asJson(text));
  return parsed.success && !parsed.data.released ? parsed.data : 'free';
}

function asJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

type Place = Pick<Holder, 'boot' | 'namespace' | 'host'>;

/** Whether two processes see each other. Where the system does not tell, those of one host are taken to. */
const isNear = (a: Place, b: Place): boolean =>
  a.boot === b.boot && a.namespace === b.namespace && (a.boot !== null || a.host === b.host);

/** Whether a holder is a process that would be seen here, and is not. */
async function isGone(holder: Holder, self: Place): Promise<boolean> {
  return isNear(holder, self) && (await startTimeOf(holder.pid)) !== holder.started;
}

async function thisProcess(): Promise<NonNullable<LockOptions['self']>> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null);
  const namespace = await readlink('/proc/self/ns/pid').catch(() => null);
  const { pid } = process;
  return { boot: boot?.trim() ?? null, namespace, host: hostname(), pid, started: await startTimeOf(pid) };
}
