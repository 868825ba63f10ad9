import { randomUUID } from 'node:crypto';
import { RequestError } from '../contract/errors.js';
import {
  createLock,
  type Holder,
  newestGeneration,
  readHolder,
  readLock,
  removeLock,
  removeLocksBefore,
  rewriteLock,
} from './lock-file.js';
import { isCertain, isGone, type ProcessIdentity, seeEachOther, thisProcess } from './process-identity.js';

/** A lease that was not renewed for this long has expired. */
const LEASE_MS = 15_000;
const RENEW_INTERVAL_MS = 5000;
const POLL_INTERVAL_MS = 1000;

export interface LockOptions {
  /** Monotonic, in ms. Default `performance.now`. */
  readonly now?: () => number;
  /** Resolves after `ms`, or when the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Called once when another server's lease has to expire first. */
  readonly onWaiting?: (holder: string) => void;
  /** Stops waiting. */
  readonly signal: AbortSignal;
  /** Called when another server has taken the folder: this one must not touch it any more. */
  readonly onLost: (by: string) => void;
  /** Which process this server is. Default this one; another in tests. */
  readonly self?: ProcessIdentity;
}

/**
 * The lock of a folder: one server at a time holds it, on one machine or several.
 *
 * Each holder has a lock file of the next generation, which is linked into place whole: of two servers that create
 * the same generation, one succeeds. So a free lock is taken by creating the next generation, and is never taken
 * twice. Within one PID namespace of one running system, a holder is looked up by its process. From anywhere else only
 * its lease is visible, which it renews: a server that sees no renewal for 15 s of its own clock takes the folder. So it
 * is where the system does not say whether a PID is still that of the holder.
 */
export class FolderLock {
  readonly #stopped = new AbortController();
  #renewals = 0;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly folder: string,
    private readonly generation: number,
    private readonly token: string,
    private readonly self: ProcessIdentity,
    private readonly options: LockOptions,
  ) {}

  /**
   * Takes a folder; waits until its lease has expired, or on systems without /proc until it is renewed.
   * @throws RequestError `folder-in-use` when a process of this machine holds it; `cancelled` by the signal
   */
  static async take(folder: string, options: LockOptions): Promise<FolderLock> {
    const { now = () => performance.now(), wait, onWaiting = () => {}, signal } = options;
    const self = options.self ?? (await thisProcess());
    let seen = { lease: '', atMs: 0 };
    for (;;) {
      if (signal.aborted) throw new RequestError('cancelled', 'stopped while waiting for the data folder');
      const { generation, holder, lease } = await readLock(folder, self);
      const isExpired = seen.lease === lease && now() - seen.atMs >= LEASE_MS;
      if (holder === null || isExpired || (await isGone(holder, self))) {
        const lock = await FolderLock.#claim(folder, generation + 1, self, options);
        if (lock) return lock;
        continue; // another server was faster
      }
      const isRenewed = seen.lease !== '' && seen.lease !== lease;
      if (seeEachOther(holder, self) && (isCertain(holder) || isRenewed)) {
        const message = `process ${holder.pid} holds the data folder: start this server with another --data`;
        throw new RequestError('folder-in-use', message);
      }
      if (seen.lease !== lease) {
        if (seen.lease === '') onWaiting(nameOf(holder));
        seen = { lease, atMs: now() };
      }
      await wait(POLL_INTERVAL_MS, signal);
    }
  }

  static async #claim(
    folder: string,
    generation: number,
    self: ProcessIdentity,
    options: LockOptions,
  ): Promise<FolderLock | null> {
    const lock = new FolderLock(folder, generation, randomUUID(), self, options);
    if (!(await createLock(folder, generation, lock.#holder(false)))) return null;
    // The generation may have been free because its holder, and even the next one, had come and gone.
    if ((await newestGeneration(folder)) !== generation) {
      await removeLock(folder, generation);
      return null;
    }
    await removeLocksBefore(folder, generation);
    void lock.#keepRenewing();
    return lock;
  }

  /** Frees the folder. The lock file stays, so that the next server continues its generation. */
  async release(): Promise<void> {
    this.#stopped.abort();
    await this.#renewing;
    if ((await newestGeneration(this.folder)) === this.generation) await this.#rewrite(true);
  }

  /** Renews the lease until it is released or lost. */
  async #keepRenewing(): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      await this.options.wait(RENEW_INTERVAL_MS, signal);
      if (signal.aborted) return;
      this.#renewing = this.#renew().catch(() => undefined); // a failing disk is tried again
      await this.#renewing;
    }
  }

  async #renew(): Promise<void> {
    const generation = await newestGeneration(this.folder);
    if (generation === this.generation) return this.#rewrite(false);
    this.#stopped.abort();
    const holder = await readHolder(this.folder, generation).catch(() => null);
    this.options.onLost(holder === null ? 'another server' : nameOf(holder));
  }

  async #rewrite(released: boolean): Promise<void> {
    this.#renewals++;
    await rewriteLock(this.folder, this.generation, this.#holder(released));
  }

  #holder(released: boolean): Holder {
    const { boot, namespace, host, pid, started } = this.self;
    const { token } = this;
    return { token, boot, namespace, host, pid, started, renewals: this.#renewals, released };
  }
}

const nameOf = ({ pid, host }: Holder): string => `process ${pid} of ${host}`;
