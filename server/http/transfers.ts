import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import type { DiskAccount } from '../storage/disk-account.js';
import { diskSpace } from '../storage/free-space.js';

export interface TransferOptions {
  /** A folder on the disk that uploads are written to. */
  readonly folder: string;
  /** Bodies that are received concurrently, at most. */
  readonly places: number;
  /** Bodies of one owner that are received concurrently, at most. */
  readonly ownerPlaces: number;
  /** Disk space that uploads leave free, in bytes. */
  readonly minFreeBytes: number;
  /** Limits the bytes of each owner, and of all. */
  readonly account: DiskAccount;
  /** Called with the bytes that an upload has received, before they are written. Default: not called. */
  readonly onReceived?: (bytes: number) => void;
}

/** Space is reserved in these steps for a body of unknown length. */
const STEP_BYTES = 16 * 2 ** 20;

/** The owner of written bytes: a job whose image is received, or a resumable upload. */
export interface StoredItem {
  readonly id: string;
  readonly owner: string;
}

/** Disk space that is reserved for one upload and not yet written. */
export interface Reservation {
  /** Call before writing bytes: they count as written. Reserves more where they exceed the reservation. */
  take(bytes: number): Promise<void>;
  /** Releases what was not taken. */
  release(): void;
}

/**
 * The limits that all uploads share, plain and resumable ones: places to receive bodies, and disk space, which is
 * reserved before a byte is written.
 */
export class Transfers {
  /** Bodies that are being received, by their owners. */
  readonly #receiving = new Map<string, number>();
  #reserved = 0;

  constructor(private readonly options: TransferOptions) {}

  /** Bodies that are being received. */
  get receiving(): number {
    return [...this.#receiving.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Disk space that is reserved, and not yet written. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  /**
   * Holds a place while `receive` runs.
   * @param owner of the body
   * @throws RequestError `busy` if none is free
   */
  async withPlace<Result>(owner: string, receive: () => Promise<Result>): Promise<Result> {
    const { places, ownerPlaces } = this.options;
    const own = this.#receiving.get(owner) ?? 0;
    if (this.receiving >= places)
      throw new RequestError('busy', `${places} uploads are being received: the server accepts no more`);
    if (own >= ownerPlaces)
      throw new RequestError(
        'busy',
        `${own} of your uploads are being received: the limit is ${ownerPlaces}`,
      );
    this.#receiving.set(owner, own + 1);
    try {
      return await receive();
    } finally {
      const left = this.#receiving.get(owner)! - 1;
      if (left === 0) this.#receiving.delete(owner);
      else this.#receiving.set(owner, left);
    }
  }

  /**
   * Reserves disk space.
   * @throws RequestError `disk-full` if all reservations together would leave too little free, or exceed the quota;
   *   `quota-exceeded` if those of the owner exceed the limit of one
   */
  async reserve(of: StoredItem, bytes: number): Promise<Reservation> {
    await this.#grow(of, bytes);
    return this.#reservation(of, bytes);
  }

  /**
   * Reserves the disk space of an upload to an earlier server, even if it is no longer free.
   * @param written the bytes that are there
   * @param bytes those that are missing
   */
  assume(of: StoredItem, written: number, bytes: number): Reservation {
    this.options.account.record(of.id, of.owner, written + bytes);
    this.#reserved += bytes;
    return this.#reservation(of, bytes);
  }

  #reservation(of: StoredItem, bytes: number): Reservation {
    let remaining = bytes;
    return {
      take: async (taken) => {
        if (taken > remaining) {
          const missing = taken - remaining;
          const step = Math.max(STEP_BYTES, missing);
          remaining += await this.#grow(of, step).catch(() => this.#grow(of, missing));
        }
        remaining -= taken;
        this.#reserved -= taken;
        this.options.onReceived?.(taken);
      },
      release: () => {
        const { account } = this.options;
        if (remaining > 0) account.record(of.id, of.owner, account.bytesOf(of.id) - remaining);
        this.#reserved -= remaining;
        remaining = 0;
      },
    };
  }

  /** Moves the bytes of an upload to the job that it becomes the image of. */
  handOver(id: string, job: StoredItem): void {
    this.options.account.move(id, job.id, job.owner);
  }

  /** Stops counting the bytes of a removed item. */
  forget(id: string): void {
    this.options.account.release(id);
  }

  /** Reserves more for a job or an upload. Returns the bytes. */
  async #grow({ id, owner }: StoredItem, bytes: number): Promise<number> {
    const { account } = this.options;
    const before = account.bytesOf(id);
    account.claim(id, owner, before + bytes);
    this.#reserved += bytes; // first: a concurrent request must not reserve the same bytes
    try {
      const { free } = await diskSpace(this.options.folder);
      const least = this.options.minFreeBytes;
      if (free - this.#reserved < least) {
        throw new RequestError(
          'disk-full',
          `an upload of ${formatBytes(bytes)} would leave less than ${formatBytes(least)} of the disk free`,
        );
      }
    } catch (error) {
      this.#reserved -= bytes;
      account.record(id, owner, before);
      throw error;
    }
    return bytes;
  }
}
