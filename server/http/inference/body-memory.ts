import { RequestError } from '../../contract/errors.js';

/** Bytes of the server's memory for bodies that have to be parsed as a whole. */
export class BodyMemory {
  #held = 0;

  /** @param limit for all bodies together, in bytes */
  constructor(private readonly limit: number) {}

  /**
   * Holds memory while `use` runs.
   * @throws RequestError `busy` where others hold it
   */
  async hold<Result>(bytes: number, use: () => Promise<Result>): Promise<Result> {
    if (this.#held + bytes > this.limit)
      throw new RequestError(
        'busy',
        'other requests with values in JSON are being read: retry, or send binary data',
      );
    this.#held += bytes;
    try {
      return await use();
    } finally {
      this.#held -= bytes;
    }
  }
}
