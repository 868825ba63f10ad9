import { describe, expect, it } from 'vitest';
import type { GraphUse, TestedNetwork } from '../../../model/exactness/self-test.js';
import { testShape } from '../../../model/exactness/shape-test.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import type { OutputKind } from '../../../model/network/output-kind.js';
import { even } from '../../support/rasters.js';

const use: GraphUse = { output: 'labels', symmetries: false, channels: 1 };
const geometry = { halo: even(1), padded: even(0), multiple: 2, smallest: 4, tileable: true };
/** Larger than the image of the self-test, whose sides are 28 and 22. */
const LARGE = { width: 40, height: 36, count: 4 };
const SMALL = { width: 20, height: 30, count: 3 };

/** What a network adds to a probability, by the tile's place in its batch. */
type Fault = (batch: TileBatch, output: OutputKind, place: number) => number;

/** A network whose probability is the pixel's value, and that records the shapes of its batches. */
function network(fault: Fault) {
  const shapes: string[] = [];
  const own: TestedNetwork = {
    geometry,
    async predict(batch, output) {
      const { data, count, height, width } = batch;
      shapes.push(`${count}x${width}x${height}`);
      const range = data instanceof Uint8Array ? 256 : 65536;
      const found = Array.from({ length: count }).flatMap((_, tile) => {
        const error = fault(batch, output, tile);
        return Array.from({ length: (height - 2) * (width - 2) }, (__, i) => {
          const [x, y] = [(i % (width - 2)) + 1, Math.floor(i / (width - 2)) + 1];
          return data[(tile * height + y) * width + x]! / range + error;
        });
      });
      if (output === 'probabilities') return Float32Array.from(found.flatMap((p) => [p, 1 - p]));
      return Uint8Array.from(found, (p) => (p > 1 - p ? 0 : 1));
    },
  };
  return { own, shapes };
}
const EXACT: Fault = () => 0;

describe('the test of a shape', () => {
  it('compares parts of each tile with the image of the self-test, one at a time', async () => {
    const { own, shapes } = network(EXACT);
    expect(await testShape(own, use, LARGE)).toEqual({ exact: true, largestDifference: 0, repeats: true });
    expect(shapes).toEqual(['4x40x36', ...Array(4).fill('1x28x22'), '4x40x36', ...Array(4).fill('1x28x22')]);
  });

  it('compares parts of smaller tiles with batches of the smallest', async () => {
    const { own, shapes } = network(EXACT);
    const bytes = { ...use, output: 'probabilities', isOfBytes: true } as const;
    expect(await testShape(own, bytes, SMALL)).toMatchObject({ exact: true });
    expect(await testShape(own, bytes, { ...SMALL, count: 12 })).toMatchObject({ exact: true });
    expect(shapes).toEqual(['3x20x30', '8x4x4', '12x20x30', '8x4x4', '8x4x4']);
    expect(await testShape(own, bytes, { width: 6, height: 4, count: 1 })).toMatchObject({ exact: true });
  });

  it.each([LARGE, SMALL, { ...LARGE, count: 1 }])(
    'states the largest difference where its batches differ: %o',
    async (shape) => {
      const { own } = network(({ width }) => (width === shape.width ? 1e-6 : 0));
      const { exact, largestDifference, repeats } = await testShape(own, use, shape);
      expect({ exact, repeats }).toEqual({ exact: false, repeats: true });
      expect(largestDifference).toBeCloseTo(1e-6, 7);
    },
  );

  it.each(Array.from({ length: LARGE.count }, (_, i) => i))('looks at tile %i', async (tile) => {
    const { own } = network(({ count }, _output, place) => (count > 1 && place === tile ? 1e-6 : 0));
    expect(await testShape(own, use, LARGE)).toMatchObject({ exact: false, repeats: false });
  });

  it.each<[string, Fault]>([
    ['are not those of the parts', ({ width }, output) => (output === 'labels' && width === 40 ? 0.5 : 0)],
    ['do not follow from the probabilities', (_batch, output) => (output === 'labels' ? 0.1 : 0)],
  ])('fails where labels %s', async (_name, fault) => {
    const { own } = network(fault);
    expect(await testShape(own, use, LARGE)).toEqual({ exact: false, largestDifference: 0, repeats: true });
  });

  it('says that labels cannot be repeated, though probabilities can', async () => {
    let batches = 0;
    const { own } = network((_batch, output) => (output === 'labels' ? batches++ % 2 : 1e-6 * LARGE.count));
    const one = { ...LARGE, count: 1 };
    expect(await testShape(own, use, one)).toMatchObject({ repeats: false });
  });

  it('compares nothing of a network that has no smaller tiles', async () => {
    const { own } = network(EXACT);
    const resizing = { ...own, geometry: { ...geometry, tileable: false } };
    const found = await testShape(resizing, use, LARGE);
    expect(found).toEqual({ exact: false, largestDifference: null, repeats: true });
  });
});
