import type { FrozenModel } from './frozen.js';

/**
 * Compares tiles with one pass over the image that they make up, the smallest tile among them, on
 * this device: true where every bit agrees. Kernels may differ between sizes, so this is never assumed.
 */
export async function selfTest(model: FrozenModel, channels: number): Promise<boolean> {
  const { halo, multiple, smallest, tileable } = model.geometry;
  if (!tileable) return false;
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
  const outOf = (side: number) => ({
    width: side - halo.left - halo.right,
    height: side - halo.top - halo.bottom,
  });
  const whole = bitsOf(await predict(image, size));
  const outWhole = outOf(size);
  const classes = whole.length / outWhole.width / outWhole.height;
  for (const side of [smallest, smallest + 5 * multiple]) {
    for (const at of [0, multiple, size - side]) {
      const tile = new Uint8Array(side * side * channels);
      for (let y = 0; y < side; y++) {
        const from = ((at + y) * size + at) * channels;
        tile.set(image.subarray(from, from + side * channels), y * side * channels);
      }
      const part = bitsOf(await predict(tile, side));
      const out = outOf(side);
      for (let y = 0; y < out.height; y++) {
        const row = ((at + y) * outWhole.width + at) * classes;
        for (let i = 0; i < out.width * classes; i++) {
          if (part[y * out.width * classes + i] !== whole[row + i]) return false;
        }
      }
    }
  }
  return true;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
