import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import { diskSpace } from '../storage/free-space.js';

export interface TransferOptions {
  /** On the disk that uploads are written to. */
  readonly folder: string;
  /** Bodies that are received at a time, at most. */
  readonly places: number;
  /** Bytes of the disk that uploads leave free; null: a gigabyte, or a twentieth of a smaller disk. */
  readonly minFreeBytes: number | null;
}

/** A body whose length nobody says is given room by such steps. */
const STEP_BYTES = 16 * 2 ** 20;
const MIN_FREE = { bytes: 2 ** 30, share: 0.05 } as const;

/** Bytes of the disk that are an upload's, and not yet written. */
export interface Room {
  /** To be called before bytes are written; room that was not reserved is reserved now. */
  take(bytes: number): Promise<void>;
  /** Gives back what was not taken. */
  release(): void;
}

/**
 * What all uploads have together, plain posts and resumable ones: places to receive bodies, and room on
 * the disk, which is reserved before a byte is written.
 */
export class Transfers {
  #receiving = 0;
  #reserved = 0;

  constructor(private readonly options: TransferOptions) {}

  /** Receives a body while it has a place. @throws RequestError `busy` where none is free */
  async withPlace<Result>(receive: () => Promise<Result>): Promise<Result> {
    const { places } = this.options;
    if (this.#receiving >= places) {
      throw new RequestError(
        'busy',
        `${places} images are being received, as many as the server takes at a time`,
      );
    }
    this.#receiving++;
    try {
      return await receive();
    } finally {
      this.#receiving--;
    }
  }

  /**
   * Reserves room on the disk.
   * @throws RequestError `disk-full` where it, and what was reserved before, leave too little
   */
  async reserve(bytes: number): Promise<Room> {
    await this.#grow(bytes);
    let left = bytes;
    return {
      take: async (taken) => {
        if (taken > left) {
          const more = Math.max(STEP_BYTES, taken - left);
          await this.#grow(more);
          left += more;
        }
        left -= taken;
        this.#reserved -= taken;
      },
      release: () => {
        this.#reserved -= left;
        left = 0;
      },
    };
  }

  /** Counts what another server promised: an upload that has begun is not turned away. */
  assume(bytes: number): Room {
    this.#reserved += bytes;
    let left = bytes;
    const give = (given: number) => {
      this.#reserved -= Math.min(left, given);
      left -= Math.min(left, given);
    };
    return { take: async (bytes) => give(bytes), release: () => give(left) };
  }

  async #grow(bytes: number): Promise<void> {
    this.#reserved += bytes; // first, so that no other request is given the same bytes meanwhile
    try {
      const { size, free } = await diskSpace(this.options.folder);
      const least = this.options.minFreeBytes ?? Math.min(MIN_FREE.bytes, MIN_FREE.share * size);
      if (free - this.#reserved < least) {
        throw new RequestError(
          'disk-full',
          `${formatBytes(bytes)} more would leave less than ${formatBytes(least)} of the disk free`,
        );
      }
    } catch (error) {
      this.#reserved -= bytes;
      throw error;
    }
  }
}
