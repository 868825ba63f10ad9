import {
  type BorderWeights,
  borderReach,
  borderWeights,
  numberedCells,
  weightsBetween,
} from '../../../model/train/weight-map.js';
import { expand, type Rect } from '../../../tiling/geometry.js';
import type { Dataset, Pair } from './dataset.js';
import { IGNORED } from './labels.js';

/** Largest image whose border term is computed as a whole; that of larger ones is computed part by part. */
export const MAX_MAPPED_PIXELS = 16e6;
/** Border terms are cached from one validation to the next, up to this size together. */
const CACHE_BYTES = 256e6;

/** The weight of each pixel in the validation loss: that of training, without its augmentation. */
export class PixelWeights {
  readonly #cache = new Map<Pair, Float32Array>();
  #cachedBytes = 0;
  /** The border term of the current image, where the cache has no room for it. */
  #current: { readonly pair: Pair; readonly term: Float32Array } | null = null;

  constructor(
    private readonly dataset: Pick<Dataset, 'codec'>,
    private readonly classWeights: readonly number[],
    private readonly border: BorderWeights | null,
  ) {}

  /** The weights of a part of an image, whose class indices are `truth`: `rect.width · rect.height`. */
  async of(pair: Pair, rect: Rect, truth: Uint8Array): Promise<Float32Array> {
    const weights = Float32Array.from(truth, (label) => this.classWeights[label] ?? 0);
    if (this.border === null) return weights;
    const { size } = pair.labels;
    const whole = size.width * size.height <= MAX_MAPPED_PIXELS;
    const area = whole ? { x: 0, y: 0, ...size } : expand(rect, borderReach(this.border), size);
    const term = whole
      ? await this.#wholeTerm(pair, this.border)
      : await borderTermOf(pair, area, this.dataset, this.border);
    for (let row = 0, at = 0; row < rect.height; row++) {
      let from = (rect.y - area.y + row) * area.width + rect.x - area.x;
      for (let x = 0; x < rect.width; x++, at++, from++) {
        if (truth[at] !== IGNORED) weights[at]! += term[from]!;
      }
    }
    return weights;
  }

  async #wholeTerm(pair: Pair, border: BorderWeights): Promise<Float32Array> {
    const cached = this.#cache.get(pair) ?? (this.#current?.pair === pair ? this.#current.term : null);
    if (cached) return cached;
    const term = await borderTermOf(pair, { x: 0, y: 0, ...pair.labels.size }, this.dataset, border);
    if (this.#cachedBytes + term.byteLength > CACHE_BYTES) this.#current = { pair, term };
    else {
      this.#cache.set(pair, term);
      this.#cachedBytes += term.byteLength;
    }
    return term;
  }
}

/** The border term of a part of an image: between numbered cells where labels are instances, else between regions. */
export async function borderTermOf(
  { labels, cells }: Pair,
  area: Rect,
  { codec }: Pick<Dataset, 'codec'>,
  border: BorderWeights,
): Promise<Float32Array> {
  const { width, height } = area;
  if (cells) return weightsBetween(numberedCells((await cells.readRegion(area)).data), width, height, border);
  return borderWeights(codec.decode(await labels.readRegion(area)), width, height, border, IGNORED);
}
