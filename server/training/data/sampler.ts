import type { Margins } from '../../../model/network/geometry.js';
import type { Augmentation } from '../../../model/train/augment.js';
import type { TrainingBatch } from '../../../model/train/batch.js';
import { type Crop, fillCrop } from '../../../model/train/crop.js';
import { Random } from '../../../model/train/random.js';
import { boundsOf, drawWarp } from '../../../model/train/warp.js';
import type { BorderWeights } from '../../../model/train/weight-map.js';
import { readTile } from '../../../tiling/reader.js';
import type { ImageSource } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import type { Dataset, Pair } from './dataset.js';
import { borderTermOf, MAX_MAPPED_PIXELS } from './pixel-weights.js';

export interface SamplerOptions {
  /** Side of a crop, the network's input, in px; what the network accepts depends on it, such as 252. */
  readonly tile: number;
  /** What the network's output lacks of its input on each side, in px. */
  readonly halo: Margins;
  /** Crops in a batch, at least 1. */
  readonly batch: number;
  /** Batches in an epoch, at least 1; null for as many as cover each image once. */
  readonly epochSteps: number | null;
  readonly augmentation: Augmentation;
  /** Whether channels are pictures in their own right, and no colours. Default false. */
  readonly isSeparate?: boolean;
  /** One weight for each class, such as `[1, 5]`. */
  readonly classWeights: readonly number[];
  /** The border term of the weight map, null for none; `live` computes it on each crop after its deformation. */
  readonly border: (BorderWeights & { readonly live: boolean }) | null;
  readonly seed: number;
}

/** How the weight maps of a data set are computed, which may take minutes. */
export interface WeightMapOptions {
  readonly signal?: AbortSignal;
  /** Called after each weight map. */
  readonly onWeightMap?: (done: number, total: number) => void;
}

/**
 * Samples batches of augmented crops. Which crop is sampled, and how it is augmented, follows from the seed, the
 * epoch and the crop's index in it alone: a resumed training sees the crops that it would have seen.
 */
export class Sampler {
  readonly epochSteps: number;
  /** Size of a crop without its halo, in px. */
  readonly #inner: { readonly width: number; readonly height: number };
  /** For each crop of one pass over the data set, the index of its image; a large image has several crops. */
  readonly #pass: readonly number[];
  /** The pass that was shuffled last. */
  #shuffled: { readonly epoch: number; readonly round: number; readonly pass: readonly number[] } | null =
    null;

  private constructor(
    private readonly pairs: readonly Pair[],
    private readonly dataset: Pick<Dataset, 'codec' | 'labelBorder'>,
    private readonly options: SamplerOptions,
    /** Border terms that were computed for whole images. */
    private readonly borderTerms: ReadonlyMap<Pair, ImageSource>,
  ) {
    const { tile, halo, batch } = options;
    this.#inner = { width: tile - halo.left - halo.right, height: tile - halo.top - halo.bottom };
    this.#pass = pairs.flatMap(({ image: { size } }, i) => {
      const crops = (size.width * size.height) / (this.#inner.width * this.#inner.height);
      return Array<number>(Math.max(1, Math.round(crops))).fill(i);
    });
    this.epochSteps = options.epochSteps ?? Math.ceil(this.#pass.length / batch);
  }

  /** Computes the weight maps of images up to 16 Mpx, unless they are live or not requested. */
  static async create(
    pairs: readonly Pair[],
    dataset: Pick<Dataset, 'codec' | 'labelBorder'>,
    options: SamplerOptions,
    { signal, onWeightMap }: WeightMapOptions = {},
  ): Promise<Sampler> {
    const { border } = options;
    const terms = new Map<Pair, ImageSource>();
    if (border === null || border.live) return new Sampler(pairs, dataset, options, terms);
    for (const [i, pair] of pairs.entries()) {
      signal?.throwIfAborted();
      const { width, height } = pair.labels.size;
      if (width * height > MAX_MAPPED_PIXELS) continue;
      const data = await borderTermOf(pair, { x: 0, y: 0, width, height }, dataset, border);
      terms.set(pair, memorySource({ data, width, height, channels: 1 }));
      onWeightMap?.(i + 1, pairs.length);
    }
    return new Sampler(pairs, dataset, options, terms);
  }

  /** A batch of an epoch, both counted from 0. */
  async batch(epoch: number, step: number): Promise<TrainingBatch> {
    const { tile, batch, seed } = this.options;
    const { channels } = this.pairs[0]!.image.facts;
    const { width, height } = this.#inner;
    const pixels = new Float32Array(batch * tile * tile * channels);
    const labels = new Uint8Array(batch * width * height);
    const weights = new Float32Array(batch * width * height);
    for (let i = 0; i < batch; i++) {
      const index = step * batch + i;
      const pass = this.#shuffle(epoch, Math.floor(index / this.#pass.length));
      const pair = this.pairs[pass[index % pass.length]!]!;
      await this.#sample(pair, Random.at(seed, epoch, index, 1), {
        pixels: pixels.subarray(i * tile * tile * channels, (i + 1) * tile * tile * channels),
        labels: labels.subarray(i * width * height, (i + 1) * width * height),
        weights: weights.subarray(i * width * height, (i + 1) * width * height),
      });
    }
    return { pixels, labels, weights, count: batch, side: tile, channels };
  }

  /** One pass over the data set in random order; an epoch may be a part of a pass, or several. */
  #shuffle(epoch: number, round: number): readonly number[] {
    if (this.#shuffled?.epoch !== epoch || this.#shuffled.round !== round) {
      const pass = Random.at(this.options.seed, epoch, round).shuffle([...this.#pass]);
      this.#shuffled = { epoch, round, pass };
    }
    return this.#shuffled.pass;
  }

  /** Draws a crop's position and deformation, reads what they touch, and fills the crop from it. */
  async #sample(pair: Pair, random: Random, crop: Crop): Promise<void> {
    const { tile, halo, augmentation, isSeparate = false, classWeights, border } = this.options;
    const { size } = pair.image;
    const x = random.integer(Math.max(1, size.width - this.#inner.width + 1)) - halo.left;
    const y = random.integer(Math.max(1, size.height - this.#inner.height + 1)) - halo.top;
    const warp = drawWarp(augmentation, tile, random);
    const bounds = boundsOf(warp);
    const rect = { ...bounds, x: x + bounds.x, y: y + bounds.y };
    const read = (source: ImageSource) => readTile(source, rect, undefined, this.dataset.labelBorder);

    const term = this.borderTerms.get(pair);
    const liveBorder = border !== null && !term ? border : null;
    const image = await readTile(pair.image, rect);
    const labels = await read(pair.labels);
    const borderTerm = term ? (await read(term)).data : null;
    const cells = liveBorder && pair.cells ? (await read(pair.cells)).data : null;
    const input = {
      bounds,
      pixels: image.data,
      channels: image.channels,
      classes: this.dataset.codec.decode(labels),
      borderTerm,
      cells,
    };
    fillCrop(crop, input, warp, { halo, augmentation, isSeparate, classWeights, liveBorder }, random);
  }
}
