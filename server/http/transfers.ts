import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import { diskSpace } from '../storage/free-space.js';

export interface TransferOptions {
  /** A folder on the disk that uploads are written to. */
  readonly folder: string;
  /** Bodies that are received concurrently, at most. */
  readonly places: number;
  /** Disk space that uploads leave free, in bytes; null for 1 GiB, or 5 % of a smaller disk. */
  readonly minFreeBytes: number | null;
  /** Called with the bytes that an upload has received, before they are written. Default: it is not called. */
  readonly onReceived?: (bytes: number) => void;
}

/** Space is reserved in these steps for a body of unknown length. */
const STEP_BYTES = 16 * 2 ** 20;
const MIN_FREE = { bytes: 2 ** 30, share: 0.05 } as const;

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
  #receiving = 0;
  #reserved = 0;

  constructor(private readonly options: TransferOptions) {}

  /** Bodies that are being received. */
  get receiving(): number {
    return this.#receiving;
  }

  /** Disk space that is reserved, and not yet written. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  /**
   * Holds a place while `receive` runs.
   * @throws RequestError `busy` if none is free
   */
  async withPlace<Result>(receive: () => Promise<Result>): Promise<Result> {
    const { places } = this.options;
    if (this.#receiving >= places) {
      throw new RequestError('busy', `${places} uploads are being received: the server accepts no more`);
    }
    this.#receiving++;
    try {
      return await receive();
    } finally {
      this.#receiving--;
    }
  }

  /**
   * Reserves disk space.
   * @throws RequestError `disk-full` if all reservations together would leave too little free
   */
  async reserve(bytes: number): Promise<Reservation> {
    await this.#grow(bytes);
    let remaining = bytes;
    return {
      take: async (taken) => {
        if (taken > remaining) {
          const more = Math.max(STEP_BYTES, taken - remaining);
          await this.#grow(more);
          remaining += more;
        }
        remaining -= taken;
        this.#reserved -= taken;
        this.options.onReceived?.(taken);
      },
      release: () => {
        this.#reserved -= remaining;
        remaining = 0;
      },
    };
  }

  /** Reserves disk space that an earlier server has promised to an upload, even where it is no longer free. */
  assume(bytes: number): Reservation {
    this.#reserved += bytes;
    let remaining = bytes;
    const give = (given: number) => {
      this.#reserved -= Math.min(remaining, given);
      remaining -= Math.min(remaining, given);
    };
    const take = async (taken: number) => {
      give(taken);
      this.options.onReceived?.(taken);
    };
    return { take, release: () => give(remaining) };
  }

  async #grow(bytes: number): Promise<void> {
    this.#reserved += bytes; // first: a concurrent request must not reserve the same bytes
    try {
      const { size, free } = await diskSpace(this.options.folder);
      const least = this.options.minFreeBytes ?? Math.min(MIN_FREE.bytes, MIN_FREE.share * size);
      if (free - this.#reserved < least) {
        throw new RequestError(
          'disk-full',
          `an upload of ${formatBytes(bytes)} would leave less than ${formatBytes(least)} of the disk free`,
        );
      }
    } catch (error) {
      this.#reserved -= bytes;
      throw error;
    }
  }
}
