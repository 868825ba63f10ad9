import { describe, expect, it } from 'vitest';
import { type GraphUse, selfTest, type TestedNetwork } from '../../../model/exactness/self-test.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import type { OutputKind } from '../../../model/network/output-kind.js';
import { even } from '../../support/rasters.js';

const use: GraphUse = { output: 'labels', symmetries: false, channels: 1 };
const geometry = { halo: even(1), padded: even(0), multiple: 2, smallest: 4, tileable: true };

/** An identity network, except for a last bit where `wrong` is true. */
function network(
  wrong: (batch: TileBatch, output: OutputKind, symmetries: boolean) => boolean,
): TestedNetwork {
  return {
    geometry,
    async predict(batch, output, symmetries) {
      const { data, count, height, width, channels } = batch;
      const pixels: number[] = [];
      for (let tile = 0; tile < count; tile++) {
        for (let y = 1; y < height - 1; y++) {
          for (let x = 1; x < width - 1; x++) {
            pixels.push((data[((tile * height + y) * width + x) * channels] ?? 0) / 65536);
          }
        }
      }
      const fault = wrong(batch, output, symmetries) ? 1e-6 : 0;
      const values = Float32Array.from(pixels.flatMap((p) => [p + fault, 1 - p]));
      if (output === 'probabilities') return values;
      const labels = Uint8Array.from(pixels, (p) => (p > 1 - p !== fault > 0 ? 0 : 1));
      if (output === 'labels') return labels;
      return Float32Array.from(pixels.flatMap((p, i) => [p, 1 - p, labels[i]!]));
    },
  };
}

describe('the self-test', () => {
  it('accepts a network that agrees with itself', async () => {
    for (const output of ['labels', 'probabilities', 'both'] as const) {
      expect(
        await selfTest(
          network(() => false),
          { ...use, output, symmetries: true },
        ),
      ).toEqual({ exact: true, largestDifference: 0 });
    }
  });

  it('accepts either class where probabilities are equal, and the second by threshold', async () => {
    const even = (label: number): TestedNetwork => ({
      geometry,
      async predict({ count, height, width }, output) {
        const pixels = count * (height - 2) * (width - 2);
        if (output === 'labels') return new Uint8Array(pixels).fill(label);
        return new Float32Array(2 * pixels).fill(0.5);
      },
    });
    expect(await selfTest(even(0), use)).toMatchObject({ exact: true });
    expect(await selfTest(even(1), use)).toMatchObject({ exact: true });
    expect(await selfTest(even(2), use)).toMatchObject({ exact: false });
    expect(await selfTest(even(1), { ...use, threshold: true })).toMatchObject({ exact: true });
    expect(await selfTest(even(0), { ...use, threshold: true })).toMatchObject({ exact: false });
  });

  it.each<[string, Parameters<typeof network>[0], Partial<GraphUse>]>([
    ['several tiles in a batch', ({ count }) => count > 1, {}],
    ['batches of eight', ({ count }) => count === 8, {}],
    ['tiles that are wider than high', ({ width, height }) => width - height === 12, {}],
    ['tiles that are higher than wide', ({ width, height }) => height > width, {}],
    ['labels, not probabilities', (_batch, output) => output === 'labels', {}],
    ['labels alongside probabilities', (_batch, output) => output === 'both', { output: 'both' }],
    ['labels of a batch', ({ count }, output) => output === 'labels' && count > 1, {}],
    [
      'symmetries',
      ({ width, height }, _output, symmetries) => symmetries && width === 4 && height === 4,
      { symmetries: true },
    ],
    ['colour', ({ channels, width }) => channels === 3 && width === 4, { channels: 3 }],
    ['scaled values', ({ scale, width }) => scale !== undefined && width === 4, { scaled: 1 }],
    ['tiles beside those of another image', ({ scale }) => new Set(scale?.shift).size > 1, { scaled: 1 }],
  ])('fails where %s differ in a last bit', async (_name, wrong, how) => {
    expect(await selfTest(network(wrong), { ...use, ...how })).toMatchObject({ exact: false });
  });

  it('states the largest difference between probabilities, whatever labels differ', async () => {
    const batches = await selfTest(
      network(({ count }) => count > 3),
      use,
    );
    expect(batches.largestDifference).toBeCloseTo(1e-6, 7);
    const labels = await selfTest(
      network((_batch, output) => output === 'labels'),
      use,
    );
    expect(labels).toEqual({ exact: false, largestDifference: 0 });
    const resizing = { ...network(() => false), geometry: { ...geometry, tileable: false } };
    expect(await selfTest(resizing, use)).toEqual({ exact: false, largestDifference: null });
  });
});
