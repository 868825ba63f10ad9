import {
  type BorderWeights,
  borderReach,
  borderWeights,
  numberedCells,
  weightsBetween,
} from '../../model/train/weight-map.js';
import type { Rect } from '../../tiling/geometry.js';
import type { Dataset, Pair } from './dataset.js';
import { IGNORED } from './labels.js';

/** Weight maps of pictures up to this size are computed whole; larger ones', piece by piece. */
export const MAPPED_PX = 16e6;
/** Maps are kept from one validation to the next until together they take so many bytes. */
const KEPT_BYTES = 256e6;

/** How much each pixel of a picture counts in the loss: as in training, without its deformations. */
export class PixelWeights {
  readonly #kept = new Map<Pair, Float32Array>();
  #keptBytes = 0;
  /** The map of the picture that is being worked on, where there is no room to keep it. */
  #current: { readonly pair: Pair; readonly map: Float32Array } | null = null;

  constructor(
    private readonly dataset: Pick<Dataset, 'codec'>,
    private readonly classWeights: readonly number[],
    private readonly border: BorderWeights | null,
  ) {}

  /** The weights of a part of a picture, of whose pixels `truth` has the class indices. */
  async of(pair: Pair, rect: Rect, truth: Uint8Array): Promise<Float32Array> {
    const weights = Float32Array.from(truth, (label) => this.classWeights[label] ?? 0);
    if (this.border === null) return weights;
    const { size } = pair.labels;
    const mapped = size.width * size.height <= MAPPED_PX;
    const area = mapped ? { x: 0, y: 0, ...size } : around(rect, borderReach(this.border), size);
    const map = mapped ? await this.#mapOf(pair) : await this.#compute(pair, area, this.border);
    for (let row = 0, at = 0; row < rect.height; row++) {
      let from = (rect.y - area.y + row) * area.width + rect.x - area.x;
      for (let x = 0; x < rect.width; x++, at++, from++) {
        if (truth[at] !== IGNORED) weights[at]! += map[from]!;
      }
    }
    return weights;
  }

  async #mapOf(pair: Pair): Promise<Float32Array> {
    const known = this.#kept.get(pair) ?? (this.#current?.pair === pair ? this.#current.map : null);
    if (known) return known;
    const map = await this.#compute(pair, { x: 0, y: 0, ...pair.labels.size }, this.border!);
    if (this.#keptBytes + map.byteLength > KEPT_BYTES) this.#current = { pair, map };
    else {
      this.#kept.set(pair, map);
      this.#keptBytes += map.byteLength;
    }
    return map;
  }

  #compute(pair: Pair, area: Rect, border: BorderWeights): Promise<Float32Array> {
    return borderMapOf(pair, area, this.dataset, border);
  }
}

/** The border term of a part of a picture: between its cells as they are numbered, or else as they are connected. */
export async function borderMapOf(
  { labels, cells }: Pair,
  area: Rect,
  { codec }: Pick<Dataset, 'codec'>,
  border: BorderWeights,
): Promise<Float32Array> {
  const { width, height } = area;
  if (cells) return weightsBetween(numberedCells((await cells.readRegion(area)).data), width, height, border);
  return borderWeights(codec.decode(await labels.readRegion(area)), width, height, border, IGNORED);
}

/** A part of a picture and what is within `reach` px of it. */
function around(
  { x, y, width, height }: Rect,
  reach: number,
  size: { readonly width: number; readonly height: number },
): Rect {
  const [left, top] = [Math.max(0, x - reach), Math.max(0, y - reach)];
  const right = Math.min(size.width, x + width + reach);
  const bottom = Math.min(size.height, y + height + reach);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
