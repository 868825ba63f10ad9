import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import {
  convolveBytes,
  cropBytes,
  maxPoolBytes,
  pixelsToBlocks,
  repeatPixels,
  roundToBytes,
  weighBytes,
} from '../../../model/onnx/kernels/bytes.js';
import type { ByteFilter } from '../../../model/quantisation/filters.js';
import { canPair, pairPixels, type Window } from '../../../model/quantisation/pairs.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
});

type Shape = readonly [count: number, height: number, width: number, channels: number];

/** Bytes of an image, by their place; 0 outside. */
class Bytes {
  constructor(
    readonly shape: Shape,
    readonly values: Uint8Array,
  ) {}
  static noise(shape: Shape, seed = 1): Bytes {
    return new Bytes(shape, Uint8Array.from(noise(size(shape), seed, 0, 256)));
  }
  at(n: number, y: number, x: number, c: number): number {
    const [, height, width, channels] = this.shape;
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return this.values[((n * height + y) * width + x) * channels + c]!;
  }
  /** The image whose byte at each place is `byteAt(n, y, x, c)`. */
  static of(shape: Shape, byteAt: (n: number, y: number, x: number, c: number) => number): Bytes {
    const [, height, width, channels] = shape;
    const values = Uint8Array.from({ length: size(shape) }, (_, i) => {
      const [c, x] = [i % channels, Math.floor(i / channels) % width];
      const y = Math.floor(i / channels / width) % height;
      return byteAt(Math.floor(i / channels / width / height), y, x, c);
    });
    return new Bytes(shape, values);
  }
}
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The bytes that the backend computes of others. */
async function computed(
  inputs: readonly Bytes[],
  record: (...images: tf.TensorInfo[]) => tf.TensorInfo,
): Promise<{ readonly shape: readonly number[]; readonly values: ArrayLike<number> }> {
  await tf.setBackend('onnx');
  const floats = inputs.map(({ shape, values }) => tf.tensor4d(Float32Array.from(values), [...shape]));
  const images = floats.map((image) => roundToBytes(backend, image));
  const output = record(...images);
  for (const { dataId } of images) backend.disposeData(dataId);
  const values = (await backend.read(output.dataId)) as Uint8Array | Float32Array;
  backend.disposeData(output.dataId);
  tf.dispose(floats);
  return { shape: output.shape, values };
}

const bytes = ({ shape, values }: Bytes) => ({ shape: [...shape], values });

/** To the nearest integer, to the even one of two, within 0 … 255. */
function toByte(value: number): number {
  const floor = Math.floor(value);
  const isUp = value - floor > 0.5 || (value - floor === 0.5 && floor % 2 !== 0);
  return Math.min(255, Math.max(0, isUp ? floor + 1 : floor));
}

function filterOf(outputs: number, channels: number, taps: number): ByteFilter {
  return {
    filter: Int8Array.from(noise(outputs * channels * taps, 3, -64.5, 64.5), Math.round),
    scale: noise(outputs, 4, 0.001, 0.01),
    bias: Int32Array.from(noise(outputs, 5, 0, 20_000)),
  };
}

/** Convolves bytes one by one. */
function convolved(x: Bytes, { filter, scale, bias }: ByteFilter, window: Window): Bytes {
  const [count, height, width, channels] = x.shape;
  const { kernel_shape, dilations, pads } = window;
  const [kh, kw] = kernel_shape;
  const [down, across] = dilations;
  const shape: Shape = [
    count,
    height + pads[0] + pads[2] - down * (kh - 1),
    width + pads[1] + pads[3] - across * (kw - 1),
    bias.length,
  ];
  return Bytes.of(shape, (n, y, xx, o) => {
    let sum = bias[o]!;
    for (let i = 0; i < channels; i++) {
      for (let v = 0; v < kh; v++) {
        for (let u = 0; u < kw; u++) {
          const weight = filter[((o * channels + i) * kh + v) * kw + u]!;
          sum += weight * x.at(n, y + v * down - pads[0], xx + u * across - pads[1], i);
        }
      }
    }
    return toByte(Math.fround(sum * scale[o]!));
  });
}

const constantsOf = ({ filter, scale, bias }: ByteFilter, shape: readonly number[]) => ({
  filter: backend.constant(filter, shape),
  scale: backend.constant(scale, [scale.length]),
  bias: backend.constant(bias, [bias.length]),
});

const WINDOWS: Record<string, Window> = {
  '3×3': { kernel_shape: [3, 3], dilations: [1, 1], pads: [0, 0, 0, 0] },
  '1×1': { kernel_shape: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
  '3×3, padded': { kernel_shape: [3, 3], dilations: [1, 1], pads: [1, 1, 1, 1] },
  '3×5, padded to the size of the image': { kernel_shape: [3, 5], dilations: [1, 1], pads: [1, 2, 1, 2] },
  '2×2, padded at two sides': { kernel_shape: [2, 2], dilations: [1, 1], pads: [0, 0, 1, 1] },
  '3×3, dilated': { kernel_shape: [3, 3], dilations: [2, 2], pads: [0, 0, 0, 0] },
};

describe('images of bytes', () => {
  it('are rounded to even, and limited', async () => {
    await tf.setBackend('onnx');
    const values = [-3, -0.5, 0.5, 1.5, 2.5, 2.51, 254.5, 255.4, 1000];
    const x = tf.tensor4d(values, [1, 3, 3, 1]);
    const rounded = roundToBytes(backend, x);
    expect([...((await backend.read(rounded.dataId)) as Uint8Array)]).toEqual(values.map(toByte));
    backend.disposeData(rounded.dataId);
    x.dispose();
  });

  it.each(Object.entries(WINDOWS))('are convolved by integers: %s', async (_name, window) => {
    for (const [channels, outputs] of [
      [4, 8],
      [3, 5],
      [16, 16],
    ] as const) {
      const x = Bytes.noise([2, 7, 10, channels]);
      const filter = filterOf(outputs, channels, window.kernel_shape[0] * window.kernel_shape[1]);
      const weights = constantsOf(filter, [outputs, channels, ...window.kernel_shape]);
      const found = await computed([x], (image) =>
        convolveBytes(backend, image!, weights, { geometry: window, isPaired: false }),
      );
      expect(found).toEqual(bytes(convolved(x, filter, window)));
    }
  });

  it.each(Object.entries(WINDOWS).filter(([, window]) => canPair(window)))(
    'are convolved to the same bytes in pairs: %s',
    async (_name, window) => {
      const x = Bytes.noise([2, 7, 10, 4]);
      const filter = filterOf(6, 4, window.kernel_shape[0] * window.kernel_shape[1]);
      const paired = pairPixels(filter, 4, window);
      const weights = constantsOf(paired.filter, [12, 8, ...paired.window.kernel_shape]);
      const found = await computed([x], (image) =>
        convolveBytes(backend, image!, weights, { geometry: paired.window, isPaired: true }),
      );
      expect(found).toEqual(bytes(convolved(x, filter, window)));
    },
  );

  it('cannot be paired where the width changes by an odd number, or pixels between them are skipped', () => {
    const impossible = Object.entries(WINDOWS).filter(([, window]) => !canPair(window));
    expect(impossible.map(([name]) => name)).toEqual(['3×3, dilated']);
    expect(canPair({ kernel_shape: [2, 2], dilations: [1, 1], pads: [0, 0, 0, 0] })).toBe(false);
  });

  it('are pooled, cropped and enlarged', async () => {
    const x = Bytes.noise([2, 6, 4, 3]);
    expect(await computed([x], (image) => maxPoolBytes(backend, image!, [3, 2]))).toEqual(
      bytes(
        Bytes.of([2, 2, 2, 3], (n, y, xx, c) =>
          Math.max(...Array.from({ length: 6 }, (_, k) => x.at(n, 3 * y + (k >> 1), 2 * xx + (k & 1), c))),
        ),
      ),
    );
    expect(await computed([x], (image) => cropBytes(backend, image!, [2, 1], [1, 0]))).toEqual(
      bytes(Bytes.of([2, 3, 3, 3], (n, y, xx, c) => x.at(n, y + 2, xx + 1, c))),
    );
    expect(await computed([x], (image) => repeatPixels(backend, image!, [2, 3]))).toEqual(
      bytes(Bytes.of([2, 12, 12, 3], (n, y, xx, c) => x.at(n, y >> 1, Math.floor(xx / 3), c))),
    );
  });

  it('are interleaved: a pixel of each row image holds the pixels of one row of a block', async () => {
    const rows = [Bytes.noise([2, 3, 5, 8], 1), Bytes.noise([2, 3, 5, 8], 2)];
    expect(await computed(rows, (...images) => pixelsToBlocks(backend, images, 2))).toEqual(
      bytes(Bytes.of([2, 6, 10, 4], (n, y, x, c) => rows[y % 2]!.at(n, y >> 1, x >> 1, (x % 2) * 4 + c))),
    );
  });

  it('are weighed to floats', async () => {
    const x = Bytes.noise([1, 3, 4, 5]);
    const filter = Int8Array.from(noise(15, 3, -64, 64));
    const [scale, bias] = [noise(3, 4, 0.001, 0.01), noise(3, 5)];
    const weights = {
      filter: backend.constant(filter, [5, 3]),
      scale: backend.constant(scale, [3]),
      bias: backend.constant(bias, [3]),
    };
    const { shape, values } = await computed([x], (image) => weighBytes(backend, image!, weights));
    expect(shape).toEqual([1, 3, 4, 3]);
    for (let at = 0; at < values.length; at++) {
      const [o, pixel] = [at % 3, Math.floor(at / 3)];
      let sum = 0;
      for (let i = 0; i < 5; i++) sum += x.values[pixel * 5 + i]! * filter[i * 3 + o]!;
      expect(values[at]).toBeCloseTo(sum * scale[o]! + bias[o]!, 4);
    }
  });
});
