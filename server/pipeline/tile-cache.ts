import { createHash } from 'node:crypto';
import type { ComputeChoice } from '../../model/compute-choice.js';
import type { TileBatch } from '../../model/network/frozen.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { PRIORITIES, type Priority } from '../../model/scheduler/priority.js';
import type { MaskArray } from '../../tiling/sink.js';
import { ByteCache } from '../storage/byte-cache.js';
import { untilAborted } from '../storage/until-aborted.js';
import type { Predict, Predicted, TileReuse } from './segment.js';
import { RecentNames, tileFingerprint } from './tile-fingerprints.js';

/** What else the result of a tile depends on, and how urgent it is. */
export interface TileUse {
  /** SHA-256 of the network's layers and weights. */
  readonly network: string;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  /** How values become the network's input, as text; null where they are divided by the maximum of their type. */
  readonly scale: string | null;
  /** Of batches, for a network whose last bits may depend on them; null for one that is exact. */
  readonly rounding: Pick<ComputeChoice, 'threads' | 'batch'> | null;
  readonly priority: Priority;
}

/** By what a tile is known. */
interface Identity {
  readonly kind: TileReuse;
  /** The same for equal tiles, but perhaps for others, too. */
  readonly name: string;
  /** The same for equal tiles alone; null for a tile that is not held. */
  readonly key: string | null;
}

/** A tile that is being computed. */
interface Pending {
  readonly pixels: Buffer;
  /** The lower, the more urgent. */
  readonly rank: number;
  /** Null if it failed or was cancelled. */
  readonly result: Promise<MaskArray | null>;
}

/**
 * The results of tiles that occur more than once, in any job, each computed once while it is held or pending.
 *
 * A tile of one value per channel is held at once, by that value. Any other is held from the second time on, by the
 * SHA-256 of its pixels; at first, only the fingerprint of some of them is noted. So the tiles of a slide that never
 * repeat are neither hashed nor held, and evict nothing. Equal fingerprints prove nothing: they cause pixels to be
 * hashed or, while the other tile is pending, compared.
 *
 * A tile waits for an equal one only if that is at least as urgent. If that fails or its job is cancelled, the tile is
 * computed after all.
 */
export class TileCache {
  readonly #held: ByteCache<MaskArray>;
  readonly #seen = new RecentNames();
  readonly #pending = new Map<string, Pending>();

  /**
   * @param maxBytes of the results that are held; 0 switches the cache off
   * @param onChange called with the bytes of the results that are held, after each change
   */
  constructor(
    maxBytes: number,
    private readonly onChange: (bytes: number) => void = () => {},
  ) {
    this.#held = new ByteCache(maxBytes);
  }

  /** Bytes of the results that are held. */
  get bytes(): number {
    return this.#held.bytes;
  }

  /** Computes tiles by `predict`, except for those whose results are known. */
  around(predict: Predict, use: TileUse): Predict {
    if (this.#held.maxBytes === 0) return predict;
    const rank = PRIORITIES.indexOf(use.priority);
    const groupOf = groups(use);
    return (tile, output, signal) => {
      const { buffer, byteOffset, byteLength } = tile.data;
      const pixels = Buffer.from(buffer, byteOffset, byteLength);
      const identity = this.#identify(tile, pixels, groupOf(tile, output));
      return this.#predict(() => predict(tile, output, signal), identity, { pixels, rank }, signal);
    };
  }

  async #predict(
    predict: () => Promise<Predicted>,
    identity: Identity,
    tile: Pick<Pending, 'pixels' | 'rank'>,
    signal: AbortSignal,
  ): Promise<Predicted> {
    const { kind, name, key } = identity;
    for (;;) {
      signal.throwIfAborted();
      const held = key === null ? undefined : this.#held.get(key);
      if (held) return reused(held, kind);
      const equal = this.#pending.get(name);
      if (!equal || equal.rank > tile.rank || !equal.pixels.equals(tile.pixels)) {
        return this.#compute(predict(), identity, tile);
      }
      const result = await untilAborted(equal.result, signal);
      if (!result) continue;
      this.#hold(key, result);
      return reused(result, kind);
    }
  }

  #identify({ data, channels }: TileBatch, pixels: Buffer, group: string): Identity {
    const pixelBytes = channels * data.BYTES_PER_ELEMENT;
    if (isRepeated(pixels, pixelBytes)) {
      const key = `${group} ${pixels.toString('hex', 0, pixelBytes)}`;
      return { kind: 'constant', name: key, key };
    }
    const name = `${group} ${tileFingerprint(pixels)}`;
    const key = this.#seen.add(name) ? `${group} ${sha256(pixels)}` : null;
    return { kind: 'identical', name, key };
  }

  async #compute(
    predicting: Promise<Predicted>,
    { name, key }: Identity,
    tile: Pick<Pending, 'pixels' | 'rank'>,
  ): Promise<Predicted> {
    const settled = predicting.then(
      ({ result }) => result,
      () => null,
    );
    const pending = {
      ...tile,
      result: settled.finally(() => {
        if (this.#pending.get(name) === pending) this.#pending.delete(name);
      }),
    };
    this.#pending.set(name, pending);
    const predicted = await predicting;
    this.#hold(key, predicted.result);
    return predicted;
  }

  #hold(key: string | null, result: MaskArray): void {
    if (key === null) return;
    // A view of its batch would hold all of the batch.
    const own = result.byteLength < result.buffer.byteLength ? result.slice() : result;
    this.#held.set(key, own, own.byteLength);
    this.onChange(this.#held.bytes);
  }
}

/** Names what tiles have in common that have the same result if their pixels are the same. */
function groups({ network, symmetries, threshold, scale, rounding }: TileUse) {
  // Those of a job have one shape: hashed once, which takes longer than to look at a tile.
  const known = new Map<string, string>();
  return ({ data, ...shape }: TileBatch, output: OutputKind): string => {
    const facts = JSON.stringify({ ...shape, type: data.constructor.name, output });
    const group =
      known.get(facts) ?? sha256(JSON.stringify([network, symmetries, threshold, scale, rounding, facts]));
    known.set(facts, group);
    return group;
  };
}

/** Whether bytes are the same pixel throughout: compared with themselves, one pixel further. */
const isRepeated = (bytes: Buffer, pixelBytes: number): boolean =>
  bytes.subarray(pixelBytes).equals(bytes.subarray(0, -pixelBytes));

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('base64url');

const reused = (result: MaskArray, kind: TileReuse): Predicted => ({
  result,
  reuse: kind,
  batchSize: 0,
  queuedMs: 0,
  ranMs: 0,
});
