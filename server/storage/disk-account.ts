import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';

export interface DiskLimits {
  /** Bytes of all jobs and uploads together; null for no limit but the disk's. */
  readonly quotaBytes: number | null;
  /** Once the quota is reached, nothing is accepted until less than this is in use. At most `quotaBytes`. */
  readonly lowWaterBytes: number;
  /** Bytes of the jobs and uploads of one owner; null for no limit. */
  readonly ownerBytes: number | null;
}

/** No limits. */
export const NO_LIMITS: DiskLimits = { quotaBytes: null, lowWaterBytes: 0, ownerBytes: null };

/**
 * Counts the bytes of the data folder by what they belong to: uploads, and jobs with their images and results. What is
 * about to be written is claimed first, so that concurrent requests cannot exceed a limit together. A file that
 * several jobs share counts for each of them.
 */
export class DiskAccount {
  readonly #items = new Map<string, { readonly owner: string; readonly bytes: number }>();
  readonly #byOwner = new Map<string, number>();
  #total = 0;
  #isFull = false;

  constructor(private readonly limits: DiskLimits) {}

  /** Bytes of everything. */
  get total(): number {
    return this.#total;
  }

  /** Bytes of an owner's jobs and uploads. */
  usedBy(owner: string): number {
    return this.#byOwner.get(owner) ?? 0;
  }

  /** Bytes of a job or an upload. */
  bytesOf(id: string): number {
    return this.#items.get(id)?.bytes ?? 0;
  }

  /**
   * Claims bytes for a job or an upload, in place of those that it had.
   * @param id of the job or the upload
   * @throws RequestError `quota-exceeded` beyond the owner's limit, `disk-full` beyond that of the server; the
   *   previous claim remains
   */
  claim(id: string, owner: string, bytes: number): void {
    const { quotaBytes, lowWaterBytes, ownerBytes } = this.limits;
    const more = bytes - this.bytesOf(id);
    if (more > 0 && ownerBytes !== null && this.usedBy(owner) + more > ownerBytes) {
      throw new RequestError(
        'quota-exceeded',
        `your jobs and uploads have ${formatBytes(this.usedBy(owner))}; with ${formatBytes(more)} more they would ` +
          `exceed ${formatBytes(ownerBytes)}: delete some of them`,
      );
    }
    if (more > 0 && quotaBytes !== null) {
      this.#isFull = this.#isFull ? this.#total >= lowWaterBytes : false;
      if (this.#isFull || this.#total + more > quotaBytes) {
        this.#isFull = this.#total >= lowWaterBytes;
        throw new RequestError(
          'disk-full',
          `the server has ${formatBytes(this.#total)} of jobs and uploads, and its limit is ${formatBytes(quotaBytes)}` +
            (this.#isFull ? `: it accepts more once that is below ${formatBytes(lowWaterBytes)}` : ''),
        );
      }
    }
    this.record(id, owner, bytes);
  }

  /** Records the bytes of a job or an upload, whatever the limits: they are on the disk already. */
  record(id: string, owner: string, bytes: number): void {
    this.release(id);
    this.#items.set(id, { owner, bytes });
    this.#add(owner, bytes);
  }

  /** Moves bytes from one item to another, such as those of an upload that has become the image of a job. */
  move(from: string, to: string, owner: string): void {
    const bytes = this.bytesOf(from);
    this.release(from);
    this.record(to, owner, this.bytesOf(to) + bytes);
  }

  /** Forgets a job or an upload that is gone. */
  release(id: string): void {
    const item = this.#items.get(id);
    if (!item) return;
    this.#items.delete(id);
    this.#add(item.owner, -item.bytes);
  }

  #add(owner: string, bytes: number): void {
    this.#total += bytes;
    const used = this.usedBy(owner) + bytes;
    if (used === 0) this.#byOwner.delete(owner);
    else this.#byOwner.set(owner, used);
  }
}
