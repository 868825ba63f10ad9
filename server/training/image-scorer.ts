import { argMax } from '../../model/network/arg-max.js';
import { type BorderScores, borderScores } from '../../model/train/border-scores.js';
import type { LossSum } from '../../model/train/loss-sum.js';
import { Confusion } from '../../model/train/scores.js';
import type { Rect } from '../../tiling/geometry.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import type { Dataset, Pair } from './data/dataset.js';
import { IGNORED } from './data/labels.js';
import { Miniature } from './data/miniature.js';
import type { PixelWeights } from './data/pixel-weights.js';

/** Border scores need the whole image in memory, at 20 bytes per pixel: larger images have none. */
export const MAX_BORDER_SCORE_PIXELS = 16e6;

/** Accumulates the loss over all images, as if their pixels were one batch. */
export interface LossTally {
  readonly sum: LossSum;
  readonly weights: PixelWeights;
}

export interface ScorerOptions {
  readonly classes: number;
  /** Ascending thresholds on the probability of the second of two classes, for border scores; null for none. */
  readonly thresholds: readonly number[] | null;
  readonly loss: LossTally | null;
}

/** Per pixel: the true class, and how many thresholds the predicted probability reaches. */
interface BorderBuffers {
  readonly truth: Uint8Array;
  readonly reached: Uint8Array;
}

/** A mask sink that scores the mask of an image band by band, and keeps only what border scores need. */
export class ImageScorer implements MaskSink {
  readonly confusion: Confusion;
  /** Thumbnails of the true and the predicted class indices. */
  readonly truth: Miniature;
  readonly labels: Miniature;
  readonly #borders: BorderBuffers | null = null;
  readonly #thresholds: Float32Array;

  constructor(
    private readonly pair: Pair,
    private readonly dataset: Pick<Dataset, 'codec'>,
    private readonly options: ScorerOptions,
  ) {
    const { size } = pair.image;
    this.confusion = new Confusion(options.classes);
    this.truth = new Miniature(size);
    this.labels = new Miniature(size);
    this.#thresholds = Float32Array.from(options.thresholds ?? []); // 32 bits, as the probabilities have
    const pixels = size.width * size.height;
    if (options.thresholds !== null && pixels <= MAX_BORDER_SCORE_PIXELS) {
      this.#borders = { truth: new Uint8Array(pixels), reached: new Uint8Array(pixels) };
    }
  }

  /** Whether the scores need probabilities; otherwise labels suffice. */
  get needsProbabilities(): boolean {
    return this.options.loss !== null || this.#borders !== null;
  }

  async writeBand(rect: Rect, band: MaskArray): Promise<void> {
    const { classes, loss } = this.options;
    const { pair } = this;
    const truth = this.dataset.codec.decode(await pair.labels.readRegion(rect));
    const labels = band instanceof Uint8Array ? band : argMax(band, classes);
    this.confusion.add(truth, labels);
    this.truth.put(rect, truth);
    this.labels.put(rect, labels);
    if (band instanceof Uint8Array) return;
    loss?.sum.add(band, truth, await loss.weights.of(pair, rect, truth));
    if (this.#borders) this.#fillBorders(this.#borders, rect, truth, band);
  }

  #fillBorders(borders: BorderBuffers, rect: Rect, truth: Uint8Array, probabilities: Float32Array): void {
    const { width } = this.pair.image.size;
    for (let row = 0, at = 0; row < rect.height; row++) {
      let to = (rect.y + row) * width + rect.x;
      for (let x = 0; x < rect.width; x++, at++, to++) {
        borders.truth[to] = truth[at] === IGNORED ? 2 : truth[at]!;
        const p = probabilities[2 * at + 1]!;
        let reached = 0;
        while (reached < this.#thresholds.length && p >= this.#thresholds[reached]!) reached++;
        borders.reached[to] = reached;
      }
    }
  }

  /** The border scores at each threshold; null without thresholds, and for an image that is too large. */
  borderScores(): BorderScores[] | null {
    if (this.#borders === null) return null;
    const { truth, reached } = this.#borders;
    const { width, height } = this.pair.image.size;
    return Array.from(this.#thresholds, (_, i) => {
      const foreground = reached.map((count) => (count > i ? 1 : 0));
      return borderScores(truth, foreground, width, height);
    });
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {}
}
