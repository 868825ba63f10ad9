import { type Card, learntRange } from '../../model/card.js';
import { SourceUnreachableError } from '../../tiling/errors.js';
import { coloursOf } from '../contract/colours.js';
import type { ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { ResultFile } from '../contract/outputs.js';
import type { ReaderLimits } from './messages.js';
import { ReaderEndedError, ReaderPool } from './pool.js';

export interface ReadersOptions extends ReaderLimits {
  /** How long an image's header may take. Default 30 s. */
  readonly headerMs?: number;
}

/** A tile, of a picture that has first to be unpacked and shrunk, may take so long. */
const TILE_MS = 300_000;
/** Results of a mask: so long, and a second for each million px. */
const DERIVE_MS = 300_000;
/** A picture that ended so many processes is not tried again for a while. */
const MAX_ENDS = 2;
const REFUSED_MS = 600_000;
const MAX_KNOWN = 1000;

/**
 * All that reads images apart from jobs: headers, what viewers see, and results that are made later. It
 * happens in small processes of their own, so that no file that a client names can end a job's worker.
 */
export class Readers {
  readonly #headers: ReaderPool;
  /** One process, so that the images which it has open serve the next tile. */
  readonly #tiles: ReaderPool;
  readonly #results: ReaderPool;
  /** How often a picture or a result ended its process, and when last. */
  readonly #ends = new Map<string, { count: number; at: number }>();

  constructor({ headerMs = 30_000, ...limits }: ReadersOptions) {
    this.#headers = new ReaderPool({
      doing: 'reading the header',
      processes: 4,
      kept: 1,
      waiting: 256,
      limitMs: headerMs,
      heapMb: 128,
      limits,
    });
    this.#tiles = new ReaderPool({
      doing: 'showing the image',
      processes: 1,
      kept: 0,
      waiting: 64,
      limitMs: TILE_MS,
      heapMb: 1024,
      limits,
    });
    this.#results = new ReaderPool({
      doing: 'making the result',
      processes: 1,
      kept: 0,
      waiting: 16,
      limitMs: DERIVE_MS,
      heapMb: 2048,
      limits,
    });
  }

  /** Numbers of the processes that read headers. */
  get headerPids(): number[] {
    return this.#headers.pids;
  }

  /**
   * What an image says of itself.
   * @throws CorruptImageError, of all others by `code`; ReaderEndedError where its header cannot be read at all
   */
  header(spec: PlanSpec, card: Card): Promise<ImageHeader> {
    return this.#headers.call('header', [imageOf(spec, card)]).catch((error: unknown) => {
      if (!(error instanceof ReaderEndedError) || !/^https?:/.test(spec.input)) throw error;
      throw new SourceUnreachableError(`the image cannot be fetched: ${error.message}`, { cause: error });
    });
  }

  /** A tile of an image, or of its finished mask in its classes' colours. */
  tile(
    spec: PlanSpec,
    card: Card,
    mask: string | null,
    tile: ViewTile,
    signal?: AbortSignal,
  ): Promise<Buffer> {
    const { scratchDir } = spec;
    return this.#unlessRefused(`${scratchDir}/${mask === null ? 'image' : 'mask'}`, () => {
      const options = { ...(signal && { signal }) };
      return mask === null
        ? this.#tiles.call('imageTile', [imageOf(spec, card), tile], options)
        : this.#tiles.call('maskTile', [mask, scratchDir, tile, coloursOf(card)], options);
    });
  }

  /** Makes results of a finished mask of so many px. */
  derive(
    spec: PlanSpec,
    card: Card,
    mask: string,
    results: readonly ResultFile[],
    pixels: number,
  ): Promise<void> {
    const limitMs = DERIVE_MS + pixels / 1000;
    const key = results.map(({ path }) => path).join();
    return this.#unlessRefused(key, () =>
      this.#results.call('derive', [imageOf(spec, card), card, mask, results], { limitMs }),
    );
  }

  /** Closes what is shown of a folder's files: they are about to go. */
  async forget(folder: string): Promise<void> {
    for (const key of this.#ends.keys()) if (key.includes(folder)) this.#ends.delete(key);
    if (!this.#tiles.isRunning) return;
    await this.#tiles.call('forget', [folder], { urgent: true }).catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all([this.#headers, this.#tiles, this.#results].map((pool) => pool.close()));
  }

  /** Calls, unless what is named has ended its processes before, and not long ago. */
  async #unlessRefused<Value>(key: string, call: () => Promise<Value>): Promise<Value> {
    const known = this.#ends.get(key);
    if (known && known.count >= MAX_ENDS && performance.now() - known.at < REFUSED_MS) {
      const message = `it ended its process ${known.count} times: it is not tried again for a while`;
      throw new RequestError('worker-killer', message);
    }
    try {
      return await call();
    } catch (error) {
      if (error instanceof ReaderEndedError) {
        this.#ends.delete(key);
        this.#ends.set(key, { count: (known?.count ?? 0) + 1, at: performance.now() });
        for (const oldest of this.#ends.keys()) {
          if (this.#ends.size <= MAX_KNOWN) break;
          this.#ends.delete(oldest);
        }
      }
      throw error;
    }
  }
}

const imageOf = ({ input, singleFile = false, choice, scratchDir }: PlanSpec, card: Card) => ({
  input,
  singleFile,
  choice,
  scratchDir,
  learnt: learntRange(card),
});
