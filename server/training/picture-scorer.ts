import { greatest } from '../../model/greatest.js';
import { type BorderScores, borderScores } from '../../model/train/border-scores.js';
import type { LossSum } from '../../model/train/loss-sum.js';
import { Confusion } from '../../model/train/scores.js';
import type { Rect } from '../../tiling/geometry.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import type { Dataset, Pair } from './dataset.js';
import { IGNORED } from './labels.js';
import { Miniature } from './miniature.js';
import type { PixelWeights } from './pixel-weights.js';

/** Border scores need a picture whole, some twenty bytes a pixel: larger ones than this go without. */
export const BORDER_PX = 16e6;

/** What gathers a loss: over all pictures, as the pixels of one batch. */
export interface LossTally {
  readonly sum: LossSum;
  readonly weights: PixelWeights;
}

export interface ScorerOptions {
  readonly classes: number;
  /** Rising probabilities at which the second of two classes is cut for border scores; null for none. */
  readonly cuts: readonly number[] | null;
  readonly loss: LossTally | null;
}

/** Scores a picture's mask while it is made, band by band: only what border scores need is kept of it. */
export class PictureScorer implements MaskSink {
  readonly confusion: Confusion;
  /** What was true and what was predicted, for a look. */
  readonly truth: Miniature;
  readonly labels: Miniature;
  /** For each pixel its true class, and how many of the cuts its probability reaches. */
  readonly #regions: { readonly truth: Uint8Array; readonly reached: Uint8Array } | null = null;
  readonly #cuts: Float32Array;

  constructor(
    private readonly pair: Pair,
    private readonly dataset: Pick<Dataset, 'codec'>,
    private readonly options: ScorerOptions,
  ) {
    const { size } = pair.image;
    this.confusion = new Confusion(options.classes);
    this.truth = new Miniature(size);
    this.labels = new Miniature(size);
    this.#cuts = Float32Array.from(options.cuts ?? []); // probabilities are floats of 32 bits, too
    const pixels = size.width * size.height;
    if (options.cuts !== null && pixels <= BORDER_PX) {
      this.#regions = { truth: new Uint8Array(pixels), reached: new Uint8Array(pixels) };
    }
  }

  /** Whether more is asked of the network than labels. */
  get needsProbabilities(): boolean {
    return this.options.loss !== null || this.#regions !== null;
  }

  async writeBand(rect: Rect, band: MaskArray): Promise<void> {
    const { classes, loss } = this.options;
    const { pair } = this;
    const truth = this.dataset.codec.decode(await pair.labels.readRegion(rect));
    const labels = band instanceof Uint8Array ? band : greatest(band, classes);
    this.confusion.add(truth, labels);
    this.truth.put(rect, truth);
    this.labels.put(rect, labels);
    if (band instanceof Uint8Array) return;
    loss?.sum.add(band, truth, await loss.weights.of(pair, rect, truth));
    if (this.#regions) this.#keep(this.#regions, rect, truth, band);
  }

  #keep(
    regions: { readonly truth: Uint8Array; readonly reached: Uint8Array },
    rect: Rect,
    truth: Uint8Array,
    probabilities: Float32Array,
  ): void {
    const { width } = this.pair.image.size;
    for (let row = 0, at = 0; row < rect.height; row++) {
      let to = (rect.y + row) * width + rect.x;
      for (let x = 0; x < rect.width; x++, at++, to++) {
        regions.truth[to] = truth[at] === IGNORED ? 2 : truth[at]!;
        const p = probabilities[2 * at + 1]!;
        let reached = 0;
        while (reached < this.#cuts.length && p >= this.#cuts[reached]!) reached++;
        regions.reached[to] = reached;
      }
    }
  }

  /** At each cut; null where none were asked for, or the picture is too large. */
  borderScores(): BorderScores[] | null {
    if (this.#regions === null) return null;
    const { truth, reached } = this.#regions;
    const { width, height } = this.pair.image.size;
    return Array.from(this.#cuts, (_, cut) => {
      const foreground = reached.map((count) => (count > cut ? 1 : 0));
      return borderScores(truth, foreground, width, height);
    });
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {}
}
