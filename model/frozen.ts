import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type { TileGeometry } from './geometry.js';
import { normalise, type Pixels } from './normalize.js';
import type { OnnxBackend } from './onnx/backend.js';

/** Class indices, one byte a pixel, or softmax probabilities, `classes` floats a pixel. */
export type OutputKind = 'labels' | 'probabilities';

/** Tiles of one size, one after the other: `[count, height, width, channels]`, interleaved. */
export interface TileBatch {
  readonly data: Pixels;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** A network whose weights are part of the compiled graph: for serving and validation. */
export class FrozenModel {
  private constructor(
    private readonly model: tfl.LayersModel,
    private readonly inputChannels: number,
  ) {}

  /** Freezes a model in place. Its weights must not change until it is disposed. */
  static async of(model: tfl.LayersModel, backend: OnnxBackend): Promise<FrozenModel> {
    await backend.freeze(model.getWeights());
    return new FrozenModel(model, model.inputs[0]!.shape[3]!);
  }

  /**
   * Segments a batch: `[count, out, out]` labels or `[count, out, out, classes]` probabilities, where
   * each side is shorter by twice the halo. The label is the class of the greatest probability, the
   * lowest of equals.
   */
  async predict(batch: TileBatch, output: OutputKind): Promise<Uint8Array | Float32Array> {
    const result = tf.tidy(() => {
      const { data, count, height, width, channels } = batch;
      const x = normalise(data, [count, height, width, channels], this.inputChannels);
      const probabilities = this.model.apply(x) as tf.Tensor4D;
      return output === 'labels' ? tf.argMax(probabilities, 3) : probabilities;
    });
    try {
      const values = await result.data();
      return output === 'labels' ? new Uint8Array(values) : (values as Float32Array);
    } finally {
      result.dispose();
    }
  }

  dispose(): void {
    this.model.dispose();
  }
}

/**
 * Compares tiles with one pass over the image that they make up, the smallest tile among them, on
 * this device: true where every bit agrees. Kernels may differ between sizes, so this is never assumed.
 */
export async function selfTest(
  model: FrozenModel,
  geometry: TileGeometry,
  channels: number,
): Promise<boolean> {
  const { halo, multiple, smallest } = geometry;
  const size = smallest + 12 * multiple;
  const image = Uint8Array.from(
    { length: size * size * channels },
    (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24,
  );
  const predict = async (data: Uint8Array, side: number) =>
    (await model.predict(
      { data, count: 1, height: side, width: side, channels },
      'probabilities',
    )) as Float32Array;
  const whole = await predict(image, size);
  const outWhole = size - 2 * halo;
  const classes = whole.length / outWhole ** 2;
  for (const side of [smallest, smallest + 5 * multiple]) {
    for (const at of [0, multiple, size - side]) {
      const tile = new Uint8Array(side * side * channels);
      for (let y = 0; y < side; y++) {
        const from = ((at + y) * size + at) * channels;
        tile.set(image.subarray(from, from + side * channels), y * side * channels);
      }
      const part = bitsOf(await predict(tile, side));
      const bits = bitsOf(whole);
      const out = side - 2 * halo;
      for (let y = 0; y < out; y++) {
        const row = ((at + y) * outWhole + at) * classes;
        for (let i = 0; i < out * classes; i++) {
          if (part[y * out * classes + i] !== bits[row + i]) return false;
        }
      }
    }
  }
  return true;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
