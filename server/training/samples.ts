import type { Margins } from '../../model/geometry.js';
import { type Pixels, rangeOf } from '../../model/pixels.js';
import { type Augmentation, changeIntensities, drawWarp, type Warp } from '../../model/train/augment.js';
import { Random } from '../../model/train/random.js';
import type { TrainingBatch } from '../../model/train/trainer.js';
import {
  type BorderWeights,
  borderWeights,
  numberedCells,
  weightsBetween,
} from '../../model/train/weight-map.js';
import type { Rect } from '../../tiling/geometry.js';
import { readTile } from '../../tiling/reader.js';
import { edgeIndex, reflectIndex } from '../../tiling/reflect.js';
import type { Dataset, Pair } from './dataset.js';
import { IGNORED } from './labels.js';
import { borderMapOf, MAPPED_PX } from './pixel-weights.js';

export interface SampleOptions {
  /** Side of a crop, the network's input, in px. */
  readonly tile: number;
  readonly halo: Margins;
  /** Crops in a batch. */
  readonly batch: number;
  /** Batches in an epoch; null for as many as see each picture once. */
  readonly epochSteps: number | null;
  readonly augmentation: Augmentation;
  /** Of each class. */
  readonly classWeights: readonly number[];
  /** The paper's weight map, if it is asked for; `live` computes it on each crop after its deformation. */
  readonly border: (BorderWeights & { readonly live: boolean }) | null;
  readonly seed: number;
}

/**
 * Draws crops. Which crop, and what is done to it, follows from the seed, the epoch and the place in the
 * epoch alone: so a training that is resumed sees what it would have seen.
 */
export class Sampler {
  readonly epochSteps: number;
  readonly #out: { readonly width: number; readonly height: number };
  /** For each crop of an epoch, the index of its picture; a large picture stands here several times. */
  readonly #turns: readonly number[];
  readonly #maps = new Map<Pair, Float32Array>();
  #order: { readonly epoch: number; readonly round: number; readonly turns: readonly number[] } | null = null;

  constructor(
    private readonly pairs: readonly Pair[],
    private readonly dataset: Pick<Dataset, 'codec' | 'labelBorder'>,
    private readonly options: SampleOptions,
  ) {
    const { tile, halo, batch } = options;
    this.#out = { width: tile - halo.left - halo.right, height: tile - halo.top - halo.bottom };
    this.#turns = pairs.flatMap(({ image: { size } }, i) => {
      const crops = (size.width * size.height) / (this.#out.width * this.#out.height);
      return Array<number>(Math.max(1, Math.round(crops))).fill(i);
    });
    this.epochSteps = options.epochSteps ?? Math.ceil(this.#turns.length / batch);
  }

  /** A batch of an epoch, both counted from 0. */
  async batch(epoch: number, step: number): Promise<TrainingBatch> {
    const { tile, batch, seed } = this.options;
    const { channels } = this.pairs[0]!.image;
    const { width, height } = this.#out;
    const pixels = new Float32Array(batch * tile * tile * channels);
    const labels = new Uint8Array(batch * width * height);
    const weights = new Float32Array(batch * width * height);
    for (let i = 0; i < batch; i++) {
      const place = step * batch + i;
      const turns = this.#shuffled(epoch, Math.floor(place / this.#turns.length));
      const pair = this.pairs[turns[place % turns.length]!]!;
      const random = Random.at(seed, epoch, place, 1);
      await this.#crop(pair, random, {
        pixels: pixels.subarray(i * tile * tile * channels, (i + 1) * tile * tile * channels),
        labels: labels.subarray(i * width * height, (i + 1) * width * height),
        weights: weights.subarray(i * width * height, (i + 1) * width * height),
      });
    }
    return { pixels, labels, weights, count: batch, side: tile, channels };
  }

  /** The turns, shuffled anew for each round through the pictures: an epoch may be shorter or longer. */
  #shuffled(epoch: number, round: number): readonly number[] {
    if (this.#order?.epoch !== epoch || this.#order.round !== round) {
      const turns = Random.at(this.options.seed, epoch, round).shuffle([...this.#turns]);
      this.#order = { epoch, round, turns };
    }
    return this.#order.turns;
  }

  async #crop(
    pair: Pair,
    random: Random,
    into: Pick<TrainingBatch, 'pixels' | 'labels' | 'weights'>,
  ): Promise<void> {
    const { tile, halo, augmentation, classWeights, border } = this.options;
    const { image, labels } = pair;
    const { width, height } = this.#out;
    const x = random.integer(Math.max(1, image.size.width - width + 1)) - halo.left;
    const y = random.integer(Math.max(1, image.size.height - height + 1)) - halo.top;
    const warp = drawWarp(augmentation, tile, random);
    const reach = reachOf(warp);
    const read = { x: x + reach.x, y: y + reach.y, width: reach.width, height: reach.height };
    const picture = await readTile(image, read);
    sample(picture.data, picture, warp, reach, into.pixels);
    changeIntensities(into.pixels, augmentation, random);

    const stored = await readTile(labels, read, undefined, this.dataset.labelBorder);
    const classes = this.dataset.codec.decode(stored);
    const map = this.#maps.get(pair) ?? null;
    const live = border !== null && map === null;
    const numbered =
      live && pair.cells ? await readTile(pair.cells, read, undefined, this.dataset.labelBorder) : null;
    const cells = numbered && new Float64Array(width * height);
    const fold = this.dataset.labelBorder === 'reflect' ? reflectIndex : edgeIndex;
    for (let v = 0, at = 0; v < height; v++) {
      for (let u = 0; u < width; u++, at++) {
        const from = (v + halo.top) * tile + u + halo.left;
        const [column, row] = [Math.round(warp.x[from]!), Math.round(warp.y[from]!)];
        const place = (row - reach.y) * reach.width + column - reach.x;
        const label = classes[place]!;
        if (cells) cells[at] = numbered!.data[place]!;
        const counts = label !== IGNORED;
        into.labels[at] = counts ? label : 0;
        into.weights[at] = counts ? classWeights[label]! : 0;
        if (map === null || !counts) continue;
        const { size } = labels;
        into.weights[at]! += map[fold(y + row, size.height) * size.width + fold(x + column, size.width)]!;
      }
    }
    if (live) {
      const own = cells
        ? weightsBetween(numberedCells(cells), width, height, border)
        : borderWeights(into.labels, width, height, border);
      for (let at = 0; at < own.length; at++) if (into.weights[at]! > 0) into.weights[at]! += own[at]!;
    }
  }

  /** Computes the weight maps that are cropped along; once, before the first batch. */
  async prepare(signal: AbortSignal, onMap: (done: number, all: number) => void): Promise<void> {
    const { border } = this.options;
    if (border === null || border.live) return;
    for (const [i, pair] of this.pairs.entries()) {
      signal.throwIfAborted();
      const { width, height } = pair.labels.size;
      if (width * height > MAPPED_PX) continue;
      const area = { x: 0, y: 0, width, height };
      this.#maps.set(pair, await borderMapOf(pair, area, this.dataset, border));
      onMap(i + 1, this.pairs.length);
    }
  }
}

/** The whole pixels around what a warp takes from, in px of the crop. */
function reachOf({ x, y }: Warp): Rect {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < x.length; at++) {
    const [u, v] = [x[at]!, y[at]!];
    if (u < left) left = u;
    if (u > right) right = u;
    if (v < top) top = v;
    if (v > bottom) bottom = v;
  }
  const start = { x: Math.floor(left), y: Math.floor(top) };
  return { ...start, width: Math.ceil(right) - start.x + 1, height: Math.ceil(bottom) - start.y + 1 };
}

/** Takes a crop's pixels, divided by their range; between four pixels, bilinearly. */
function sample(
  data: Pixels,
  { width, height, channels }: { readonly width: number; readonly height: number; readonly channels: number },
  { x, y, exact }: Warp,
  origin: { readonly x: number; readonly y: number },
  into: Float32Array,
): void {
  const scale = 1 / rangeOf(data);
  for (let at = 0; at < x.length; at++) {
    const [u, v] = [x[at]! - origin.x, y[at]! - origin.y];
    const [column, row] = [Math.floor(u), Math.floor(v)];
    const from = (row * width + column) * channels;
    if (exact) {
      for (let c = 0; c < channels; c++) into[at * channels + c] = data[from + c]! * scale;
      continue;
    }
    const [fx, fy] = [u - column, v - row];
    const right = column + 1 < width ? channels : 0;
    const down = row + 1 < height ? width * channels : 0;
    for (let c = 0; c < channels; c++) {
      const i = from + c;
      const upper = data[i]! + fx * (data[i + right]! - data[i]!);
      const lower = data[i + down]! + fx * (data[i + down + right]! - data[i + down]!);
      into[at * channels + c] = (upper + fy * (lower - upper)) * scale;
    }
  }
}
