import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import type { TileBatch } from '../network/frozen.js';
import type { TileGeometry } from '../network/geometry.js';
import type { Pixels } from '../network/pixels.js';
import {
  type GraphUse,
  MANY,
  noiseOf,
  scaleFor,
  type TestedNetwork,
  type TilingOutcome,
  testImageSize,
  tilingOutcome,
} from './self-test.js';
import { cut, follow, type Outputs, type Place, TileComparison } from './tile-comparison.js';

/** Tiles of a batch, and their size in px: a GPU's libraries choose kernels by them. */
export interface BatchShape {
  readonly width: number;
  readonly height: number;
  readonly count: number;
}

/** What the test of a shape found. */
export interface ShapeOutcome extends TilingOutcome {
  /** Whether a tile has the same bits each time, in any place of a batch, and beside any others. */
  readonly repeats: boolean;
}

/** An outcome as it is stored. */
export const shapeOutcome = tilingOutcome.extend({
  repeats: z.boolean(),
}) satisfies z.ZodType<ShapeOutcome>;

/**
 * Compares a batch of one shape with what the self-test has compared with one pass over a whole image: so all shapes
 * that pass agree with each other.
 *
 * Each tile has a part, at a corner or within, that is computed by itself in a shape of the self-test: that of its whole
 * image, or the smallest where the tile is smaller. All labels must follow from the probabilities, too. Where parts differ,
 * the batch is computed again in reverse, to see whether its results, of each graph, can be repeated at least. One batch
 * is computed at a time, so that the memory is that of a few.
 *
 * @throws OutOfMemoryError (by `code`) for a batch that does not fit
 */
export async function testShape(
  network: TestedNetwork,
  use: GraphUse,
  shape: BatchShape,
): Promise<ShapeOutcome> {
  const test = new ShapeTest(network, use, shape);
  const probabilities = (await test.predict('probabilities')) as Float32Array;
  const { agree, largestDifference } = await test.compareParts(probabilities, 'probabilities');
  const exact = agree && (use.output === 'probabilities' || (await test.outputAgrees(probabilities)));
  const repeats =
    exact ||
    ((await test.repeats('probabilities', probabilities)) &&
      (use.output === 'probabilities' || (await test.repeats(use.output, await test.predict(use.output)))));
  return { exact, largestDifference, repeats };
}

/** Px whose labels are compared at a time: some milliseconds. */
const CHUNK_PX = 1 << 16;

/** Where parts of tiles lie, as shares of the room that they have: corners first, from opposite ones. */
const POSITIONS = [
  [0, 0],
  [1, 1],
  [1, 0],
  [0, 1],
  [0.5, 0.5],
  [0.25, 0.75],
  [0.75, 0.25],
  [0.5, 0],
] as const;

class ShapeTest {
  readonly #pixels: Pixels;
  readonly #geometry: TileGeometry;

  constructor(
    private readonly network: TestedNetwork,
    private readonly use: GraphUse,
    private readonly shape: BatchShape,
  ) {
    this.#geometry = network.geometry;
    this.#pixels = noiseOf(use, shape.count * this.#tileLength);
  }

  /** Computes the batch, or its tiles in reverse. */
  predict(output: GraphUse['output'], isReversed = false): Promise<Outputs> {
    const data = this.#pixels.slice();
    const { count } = this.shape;
    if (isReversed) {
      for (let i = 0; i < count; i++) data.set(this.#tile(count - 1 - i), i * this.#tileLength);
    }
    const { channels, symmetries } = this.use;
    return this.network.predict(
      { ...this.shape, data, channels, ...scaleFor(this.use, count) },
      output,
      symmetries,
    );
  }

  /** Compares parts of the batch's tiles with the same parts computed by themselves; of networks that have any. */
  async compareParts(
    batch: Outputs,
    output: GraphUse['output'],
  ): Promise<{ readonly agree: boolean; readonly largestDifference: number | null }> {
    if (!this.#geometry.tileable) return { agree: false, largestDifference: null };
    const { size, together, parts } = this.#parts();
    const comparison = new TileComparison({ ...this.shape, x: 0, y: 0 }, this.#geometry);
    let agree = true;
    let largestDifference = 0;
    for (let from = 0; from < parts.length; from += together) {
      const some = parts.slice(from, from + together);
      const found = await this.#predictParts(some, size, output);
      for (const [i, { tile, place }] of some.entries()) {
        const whole = this.#outputOf(batch, tile);
        const own = { places: [place], found: part(found, i, some.length) };
        const classes = comparison.valuesOf(whole);
        agree &&= comparison.agree(own, whole);
        largestDifference = Math.max(largestDifference, comparison.difference(own, whole, classes));
      }
    }
    return { agree, largestDifference };
  }

  /** Whether the output that is used agrees in the same parts, and follows from the probabilities in every px. */
  async outputAgrees(probabilities: Float32Array): Promise<boolean> {
    const { output, threshold } = this.use;
    const outputs = await this.predict(output);
    if (!(await this.compareParts(outputs, output)).agree) return false;
    const comparison = new TileComparison({ ...this.shape, x: 0, y: 0 }, this.#geometry);
    const classes = comparison.valuesOf(this.#outputOf(probabilities, 0));
    const pixels = probabilities.length / classes;
    const values = outputs.length / pixels;
    for (let from = 0; from < pixels; from += CHUNK_PX) {
      const to = from + CHUNK_PX;
      const own = probabilities.subarray(from * classes, to * classes);
      const isThresholded = threshold === true;
      if (!follow(own, outputs.subarray(from * values, to * values), { classes, isThresholded }))
        return false;
      await setImmediate(); // other jobs go on
    }
    return true;
  }

  /** Whether tiles have the same bits again, in another place of the batch. */
  async repeats(output: GraphUse['output'], once: Outputs): Promise<boolean> {
    const again = await this.predict(output, true);
    const { count } = this.shape;
    return Array.from({ length: count }).every((_, i) =>
      bytesOf(this.#outputOf(again, i)).equals(bytesOf(this.#outputOf(once, count - 1 - i))),
    );
  }

  /** The parts of tiles that are computed by themselves, of one size, and how many of them are a batch. */
  #parts() {
    const { smallest, multiple } = this.#geometry;
    const { width, height, count } = this.shape;
    const image = testImageSize(this.#geometry);
    const isSmall = width < image.width || height < image.height;
    const size = isSmall ? { width: smallest, height: smallest } : image;
    const along = (room: number, share: number) => Math.round((room / multiple) * share) * multiple;
    const length = isSmall ? MANY * Math.ceil(count / MANY) : Math.max(2, count);
    const parts = Array.from({ length }, (_, i) => {
      const [across, down] = POSITIONS[i % POSITIONS.length]!;
      const [x, y] = [along(width - size.width, across), along(height - size.height, down)];
      return { tile: i % count, place: { x, y, ...size } };
    });
    return { size, together: isSmall ? MANY : 1, parts };
  }

  #predictParts(
    parts: readonly { readonly tile: number; readonly place: Place }[],
    size: Pick<BatchShape, 'width' | 'height'>,
    output: GraphUse['output'],
  ): Promise<Outputs> {
    const { channels, symmetries } = this.use;
    const Values = this.#pixels.constructor as typeof Uint8Array;
    const data = new Values(parts.length * size.width * size.height * channels); // which may be more than the batch has
    for (const [i, { tile, place }] of parts.entries()) {
      cut({ data: this.#tile(tile), width: this.shape.width, channels }, place, data, i);
    }
    const scale = scaleFor(this.use, parts.length);
    const batch: TileBatch = { ...size, data, channels, count: parts.length, ...scale };
    return this.network.predict(batch, output, symmetries);
  }

  get #tileLength(): number {
    return this.shape.width * this.shape.height * this.use.channels;
  }

  #tile(index: number): Pixels {
    return this.#pixels.subarray(index * this.#tileLength, (index + 1) * this.#tileLength);
  }

  #outputOf(batch: Outputs, tile: number): Outputs {
    return part(batch, tile, this.shape.count);
  }
}

/** One of several equal parts. */
function part(values: Outputs, index: number, count: number): Outputs {
  const length = values.length / count;
  return values.subarray(index * length, (index + 1) * length);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Outputs): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
