import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { components } from '../../../model/train/components.js';
import { squaredDistances } from '../../../model/train/distance.js';
import { borderWeights } from '../../../model/train/weight-map.js';

const pictures = fc
  .tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 14 }))
  .chain(([width, height]) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      labels: fc.array(fc.constantFrom(0, 0, 0, 1, 2), {
        minLength: width * height,
        maxLength: width * height,
      }),
    }),
  );

/** Reference implementation: regions by flood fill from each pixel. */
function flooded(labels: readonly number[], width: number, height: number): number[][] {
  const seen = new Set<number>();
  const regions: number[][] = [];
  for (let start = 0; start < labels.length; start++) {
    if (labels[start] === 0 || seen.has(start)) continue;
    const region: number[] = [];
    const open = [start];
    seen.add(start);
    while (open.length > 0) {
      const at = open.pop()!;
      region.push(at);
      const [x, y] = [at % width, Math.floor(at / width)];
      for (const [u, v] of [
        [x - 1, y],
        [x + 1, y],
        [x, y - 1],
        [x, y + 1],
      ] as const) {
        const next = v * width + u;
        const inside = u >= 0 && v >= 0 && u < width && v < height;
        if (!inside || seen.has(next) || labels[next] !== labels[start]) continue;
        seen.add(next);
        open.push(next);
      }
    }
    regions.push(region);
  }
  return regions;
}

describe('components', () => {
  it('cells that touch at a corner are separate', () => {
    expect(components([1, 0, 0, 1], 2, 2)).toEqual({ ids: Int32Array.of(1, 0, 0, 2), count: 2 });
  });

  it('match those of a flood fill', () => {
    fc.assert(
      fc.property(pictures, ({ width, height, labels }) => {
        const { ids, count } = components(labels, width, height);
        const regions = flooded(labels, width, height);
        expect(count).toBe(regions.length);
        for (const region of regions) expect(new Set(region.map((at) => ids[at])).size).toBe(1);
        expect(new Set(regions.map(([first]) => ids[first!])).size).toBe(regions.length);
      }),
    );
  });
});

describe('distances', () => {
  it('match the definition', () => {
    fc.assert(
      fc.property(pictures, ({ width, height, labels }) => {
        const inside = labels.flatMap((label, at) => (label > 0 ? [at] : []));
        fc.pre(inside.length > 0);
        const found = squaredDistances((x, y) => labels[y * width + x]! > 0, width, height);
        for (const [at, value] of found.entries()) {
          const distances = inside.map(
            (i) => ((i % width) - (at % width)) ** 2 + (Math.floor(i / width) - Math.floor(at / width)) ** 2,
          );
          expect(value).toBe(Math.min(...distances));
        }
      }),
    );
  });
});

describe('the weight map', () => {
  it('is greatest between two cells that almost touch', () => {
    const map = borderWeights([1, 0, 1, 0, 0, 0], 6, 1, { w0: 10, sigma: 5 });
    expect(map[1]).toBeCloseTo(10 * Math.exp(-4 / 50), 5);
    expect(map[0]).toBeCloseTo(10 * Math.exp(-4 / 50), 5); // d1 = 0, d2 = 2
    expect(map[5]).toBeCloseTo(10 * Math.exp(-64 / 50), 5);
  });

  it('matches the definition, with exact distances to the nearest and second nearest cell', () => {
    fc.assert(
      fc.property(
        pictures,
        fc.double({ min: 0.5, max: 8, noNaN: true }),
        ({ width, height, labels }, sigma) => {
          const map = borderWeights(labels, width, height, { w0: 10, sigma });
          const cells = flooded(labels, width, height);
          for (const [at, weight] of map.entries()) {
            const [x, y] = [at % width, Math.floor(at / width)];
            const nearest = cells
              .map((cell) =>
                Math.min(...cell.map((i) => Math.hypot((i % width) - x, Math.floor(i / width) - y))),
              )
              .sort((a, b) => a - b);
            const [d1, d2] = nearest;
            const expected = d2 === undefined ? 0 : 10 * Math.exp(-((d1! + d2) ** 2) / (2 * sigma ** 2));
            expect(Math.abs(weight - expected)).toBeLessThan(1e-5);
          }
        },
      ),
    );
  });

  it('excludes ignored labels', () => {
    expect(borderWeights([1, 0, 255, 0], 4, 1, { w0: 10, sigma: 5 }, 255)).toEqual(new Float32Array(4));
  });
});
