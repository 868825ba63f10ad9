import type { TileBatch } from './frozen.js';
import type { TileGeometry } from './geometry.js';
import { greatest } from './greatest.js';
import type { OutputKind } from './output-kind.js';
import type { Pixels } from './pixels.js';

/** How a network is used: each use is a graph of its own, whose kernels could round differently. */
export interface GraphUse {
  readonly output: OutputKind;
  /** Whether probabilities are means over the eight symmetries of the square. */
  readonly symmetries: boolean;
  /** Whether labels are cut at a probability: one graph for all of them. */
  readonly threshold?: true;
  /** Type and channels of the tiles. */
  readonly dtype: 'uint8' | 'uint16' | 'float32';
  readonly channels: number;
}

/** Where labels are cut in the test of a graph that cuts them: its value is an input of the graph. */
export const TEST_THRESHOLD = 0.5;

/** A network on its device. */
export interface TestedNetwork {
  readonly geometry: TileGeometry;
  predict(batch: TileBatch, output: OutputKind, symmetries: boolean): Promise<Uint8Array | Float32Array>;
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Compares tiles with one pass over the image that they make up, on this device: true where every bit agrees,
 * and every label is the class of the greatest probability, or follows from the threshold. Square tiles and oblong ones both ways, the
 * smallest among them, alone and several in a batch, of the very type of pixels that is used. Kernels may differ between
 * sizes, so none of this is ever assumed. Each call of `predict` is short: others' work goes on in between.
 */
export async function selfTest(network: TestedNetwork, use: GraphUse): Promise<boolean> {
  const { halo, multiple, smallest, tileable } = network.geometry;
  if (!tileable) return false;
  const { output, symmetries, channels } = use;
  // oblong, too: rows and columns could be mixed up
  const whole = { x: 0, y: 0, width: smallest + 12 * multiple, height: smallest + 9 * multiple };
  const image = noise(use, whole.width * whole.height * channels);

  const outputOf = ({ width, height }: Place) => ({
    width: width - halo.left - halo.right,
    height: height - halo.top - halo.bottom,
  });
  const predict = (kind: OutputKind, places: readonly Place[]) => {
    const [{ width, height }] = places as [Place];
    const data = pixels(use.dtype, places.length * width * height * channels);
    for (const [i, { x, y }] of places.entries()) {
      for (let row = 0; row < height; row++) {
        const from = ((y + row) * whole.width + x) * channels;
        data.set(image.subarray(from, from + width * channels), (i * height + row) * width * channels);
      }
    }
    return network.predict({ data, count: places.length, width, height, channels }, kind, symmetries);
  };
  /** Whether tiles hold, bit for bit, what the whole image's values are at their places. */
  const agree = async (kind: OutputKind, places: readonly Place[], expected: Uint8Array | Uint32Array) => {
    const found = bitsOf(await predict(kind, places));
    const across = outputOf(whole).width;
    const values = expected.length / across / outputOf(whole).height;
    const size = outputOf(places[0]!);
    const length = size.width * values;
    if (found.length !== places.length * size.height * length) return false;
    for (const [i, { x, y }] of places.entries()) {
      for (let row = 0; row < size.height; row++) {
        const from = ((y + row) * across + x) * values;
        const at = (i * size.height + row) * length;
        for (let k = 0; k < length; k++) if (found[at + k] !== expected[from + k]) return false;
      }
    }
    return true;
  };

  const at = (x: number, y: number, wider = 0, taller = 0): Place => ({
    x: x * multiple,
    y: y * multiple,
    width: smallest + wider * multiple,
    height: smallest + taller * multiple,
  });
  const alone = [at(0, 0)];
  const batch = [at(12, 9), at(1, 2), at(5, 0)];
  const wide = [at(1, 4, 6), at(0, 9, 6)];
  const tall = [at(7, 3, 0, 5)];

  const reference = (await predict('probabilities', [whole])) as Float32Array;
  for (const places of [alone, batch, wide, tall]) {
    if (!(await agree('probabilities', places, bitsOf(reference)))) return false;
  }
  if (output === 'probabilities') return true;
  const out = outputOf(whole);
  const classes = reference.length / out.width / out.height;
  const labels = use.threshold ? reaching(reference) : greatest(reference, classes);
  const expected = output === 'labels' ? labels : bitsOf(withLabels(reference, labels, classes));
  for (const places of [alone, batch, wide]) if (!(await agree(output, places, expected))) return false;
  return true;
}

/** Probabilities with the label of each pixel behind them. */
function withLabels(probabilities: Float32Array, labels: Uint8Array, classes: number): Float32Array {
  const both = new Float32Array(probabilities.length + labels.length);
  for (const [at, label] of labels.entries()) {
    both.set(probabilities.subarray(at * classes, (at + 1) * classes), at * (classes + 1));
    both[at * (classes + 1) + classes] = label;
  }
  return both;
}

function pixels(dtype: GraphUse['dtype'], length: number): Pixels {
  if (dtype === 'float32') return new Float32Array(length);
  return dtype === 'uint16' ? new Uint16Array(length) : new Uint8Array(length);
}

/** Values all over the range of their type, different everywhere. */
function noise({ dtype }: GraphUse, length: number): Pixels {
  const data = pixels(dtype, length);
  for (let i = 0; i < length; i++) {
    const bits = Math.imul(i + 1, 0x9e3779b1) >>> 0;
    data[i] = dtype === 'float32' ? bits / 2 ** 32 : bits >>> (dtype === 'uint16' ? 16 : 24);
  }
  return data;
}

/** 1 where the second of two classes has at least `TEST_THRESHOLD`, as the network cuts. */
const reaching = (probabilities: Float32Array): Uint8Array =>
  Uint8Array.from({ length: probabilities.length / 2 }, (_, at) =>
    probabilities[2 * at + 1]! >= TEST_THRESHOLD ? 1 : 0,
  );

function bitsOf(values: Uint8Array | Float32Array): Uint8Array | Uint32Array {
  if (values instanceof Uint8Array) return values;
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
