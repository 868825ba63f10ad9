import { RequestError } from '../../contract/errors.js';

/**
 * A bounded amount of memory for bodies that have to be parsed as a whole. One caller gets half of it at most, so that
 * its slow bodies do not keep out those of all others.
 */
export class BodyMemory {
  readonly #heldBy = new Map<string, number>();

  /** @param limit for all bodies together, in bytes */
  constructor(private readonly limit: number) {}

  /**
   * Holds memory while `use` runs, or until `use` releases it.
   * @param owner of the request, `Principal.id`
   * @throws RequestError `busy` if others hold it, or the owner holds half
   */
  async hold<Result>(
    owner: string,
    bytes: number,
    use: (release: () => void) => Promise<Result>,
  ): Promise<Result> {
    const own = this.#heldBy.get(owner) ?? 0;
    const held = [...this.#heldBy.values()].reduce((sum, each) => sum + each, 0);
    if (held + bytes > this.limit || own + bytes > this.limit / 2)
      throw new RequestError(
        'busy',
        'other requests with values in JSON are being read: retry, or send binary data',
      );
    this.#add(owner, bytes);
    let isHeld = true;
    const release = () => {
      if (isHeld) this.#add(owner, -bytes);
      isHeld = false;
    };
    try {
      return await use(release);
    } finally {
      release();
    }
  }

  #add(owner: string, bytes: number): void {
    const sum = (this.#heldBy.get(owner) ?? 0) + bytes;
    if (sum === 0) this.#heldBy.delete(owner);
    else this.#heldBy.set(owner, sum);
  }
}
