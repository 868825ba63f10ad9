import type { NetworkTensor } from '../../model/engine/engine-methods.js';
import { PackageError } from '../../model/errors.js';
import { parseNpy } from '../../model/exchange/npy.js';
import { isStatistical, type Normalisation } from '../../model/network/normalisation.js';
import { mapped, mapsOf, type StatisticPair } from '../../model/network/tile-scale.js';
import type { AxisName, TensorDescription } from './description.js';
import type { ReadPostprocessing } from './processing.js';

/** An image `[height, width, channels]` of numpy's file, whose dimensions a package describes. @throws PackageError */
export function imageOf(
  file: Uint8Array,
  name: string,
  { axes }: Pick<TensorDescription, 'axes'>,
): NetworkTensor {
  const { shape, data } = parseNpy(file, name);
  if (shape.length !== axes.length) {
    throw new PackageError(`${name} has ${shape.length} dimensions, and its axes are ${axes.join(', ')}`);
  }
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, side) => product * side, 1));
  const along = (axis: AxisName) => {
    const at = axes.indexOf(axis);
    return at < 0 ? { length: 1, stride: 0 } : { length: shape[at]!, stride: strides[at]! };
  };
  const [rows, columns, channels] = [along('y'), along('x'), along('c')];
  const values = new Float32Array(rows.length * columns.length * channels.length); // of the first image of the batch
  let i = 0;
  for (let y = 0; y < rows.length; y++) {
    for (let x = 0; x < columns.length; x++) {
      for (let c = 0; c < channels.length; c++) {
        values[i++] = data[y * rows.stride + x * columns.stride + c * channels.stride]!;
      }
    }
  }
  return { values, height: rows.length, width: columns.length, channels: channels.length };
}

/** An image as a network sees it: by the steps of a card, with its own statistics. */
export function normalised(image: NetworkTensor, steps: Normalisation): NetworkTensor {
  const { values, channels } = image;
  const statistics: (readonly StatisticPair[])[] = [];
  for (const [i, step] of steps.entries()) {
    if (!isStatistical(step)) continue;
    const maps = mapsOf(steps, channels, 1, statistics, i);
    const sorted = Array.from({ length: channels }, (_, c) => {
      const own = Float64Array.from({ length: values.length / channels }, (__, at) =>
        mapped(maps[c]!, values[at * channels + c]!),
      );
      return own.sort();
    });
    const all = step.of === 'image' ? [Float64Array.from(sorted.flatMap((own) => [...own])).sort()] : sorted;
    const pairs = all.map(
      (own): StatisticPair =>
        step.step === 'scale_range'
          ? [percentile(own, step.percentiles[0]), percentile(own, step.percentiles[1])]
          : meanAndDeviation(own),
    );
    statistics.push(Array.from({ length: channels }, (_, c) => pairs[c] ?? pairs[0]!));
  }
  const maps = mapsOf(steps, channels, 1, statistics);
  return { ...image, values: values.map((value, i) => mapped(maps[i % channels]!, value)) };
}

/** As numpy does, by linear interpolation. */
function percentile(sorted: Float64Array, percent: number): number {
  const at = (percent / 100) * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

function meanAndDeviation(values: Float64Array): StatisticPair {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return [mean, Math.sqrt(variance)];
}

/** A network's output as its package returns it. */
export function postprocessed(
  { values, channels }: NetworkTensor,
  { postprocessing, binarised }: ReadPostprocessing,
): Float32Array {
  const result = values.slice();
  for (const { step } of postprocessing) {
    if (step === 'sigmoid') for (const [i, value] of result.entries()) result[i] = 1 / (1 + Math.exp(-value));
    if (step === 'softmax') softmax(result, channels);
  }
  return binarised === null ? result : result.map((value) => (value > binarised ? 1 : 0));
}

function softmax(values: Float32Array, channels: number): void {
  for (let i = 0; i < values.length; i += channels) {
    const own = values.subarray(i, i + channels);
    const most = own.reduce((a, b) => Math.max(a, b));
    const powers = Array.from(own, (value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    own.set(powers.map((power) => power / sum));
  }
}
