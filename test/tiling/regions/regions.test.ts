import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ringArea } from '../../../tiling/regions/contours.js';
import type { Region } from '../../../tiling/regions/region.js';
import { simplifyRings } from '../../../tiling/regions/simplify.js';
import { RegionSweep } from '../../../tiling/regions/sweep.js';
import { uniform } from '../../../tiling/samples/random.js';
import { areaOf, faultOf } from '../../support/polygons.js';

function regionsOf(labels: Uint8Array, width: number, pixels: Uint8Array | null = null) {
  const regions: Region[] = [];
  const sweep = new RegionSweep({
    width,
    channels: pixels ? 1 : 0,
    contours: true,
    onRegion: (region) => regions.push(region),
  });
  for (let at = 0; at < labels.length; at += width)
    sweep.row(labels.subarray(at, at + width), pixels?.subarray(at, at + width) ?? null);
  sweep.finish();
  return regions;
}

/** Connected components by flood fill, each as its pixels. */
function flooded(labels: Uint8Array, width: number): number[][] {
  const seen = new Uint8Array(labels.length);
  const found: number[][] = [];
  for (let start = 0; start < labels.length; start++) {
    if (seen[start] || labels[start] === 0) continue;
    const pixels = [start];
    seen[start] = 1;
    for (let i = 0; i < pixels.length; i++) {
      const at = pixels[i]!;
      const x = at % width;
      for (const next of [x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1, at - width, at + width]) {
        if (next < 0 || next >= labels.length || seen[next] || labels[next] !== labels[at]) continue;
        seen[next] = 1;
        pixels.push(next);
      }
    }
    found.push(pixels);
  }
  return found;
}

/** The pixels inside rings, by the even-odd rule at their centres. */
function painted(rings: readonly Int32Array[], width: number, height: number): number[] {
  const inside: number[] = [];
  for (let y = 0; y < height; y++) {
    const crossings: number[] = [];
    for (const ring of rings) {
      for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
        const [y0, y1] = [ring[j + 1]!, ring[i + 1]!];
        if (Math.min(y0, y1) <= y && y < Math.max(y0, y1)) crossings.push(ring[i]!);
      }
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i < crossings.length; i += 2)
      for (let x = crossings[i]!; x < crossings[i + 1]!; x++) inside.push(y * width + x);
  }
  return inside;
}

describe('a ring of pixels', () => {
  const mask = Uint8Array.from([1, 1, 1, 1, 0, 1, 1, 1, 1]);

  it('is one region with a hole', () => {
    expect(regionsOf(mask, 3, Uint8Array.from([1, 2, 3, 4, 99, 6, 7, 8, 9]))).toEqual([
      {
        id: 1,
        label: 1,
        area: 8,
        perimeter: 16,
        intensity: [5],
        centroid: { x: 1.5, y: 1.5 },
        box: { x: 0, y: 0, width: 3, height: 3 },
        rings: [Int32Array.of(0, 0, 3, 0, 3, 3, 0, 3), expect.any(Int32Array)],
      },
    ]);
    const [, hole] = regionsOf(mask, 3)[0]!.rings;
    expect(ringArea(hole!)).toBe(-1);
  });
});

describe('a region that touches itself at corners', () => {
  it('has simple rings: an area enclosed at a corner is a hole', () => {
    const mask = ['.##', '#.#', '###', '#.#', '##.'].map((row) => [...row].map((c) => (c === '#' ? 1 : 0)));
    const [region] = regionsOf(Uint8Array.from(mask.flat()), 3);
    expect(faultOf(region!.rings)).toBe(null);
    expect(region!.rings).toHaveLength(3);
    expect(region!.perimeter).toBe(24);
  });
});

const masks = fc.record({
  width: fc.integer({ min: 1, max: 20 }),
  height: fc.integer({ min: 1, max: 20 }),
  seed: fc.integer(),
  classes: fc.integer({ min: 1, max: 3 }),
  smooth: fc.integer({ min: 1, max: 4 }),
});
type Mask = typeof masks extends fc.Arbitrary<infer T> ? T : never;

function labelsOf({ width, height, seed, classes, smooth }: Mask): Uint8Array {
  const coarse = Array.from({ length: 24 * 24 }, (_, i) => Math.floor(uniform(i, 0, seed) * (classes + 1)));
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return coarse[Math.floor(y / smooth) * 24 + Math.floor(x / smooth)]!;
  });
}

describe('regions', () => {
  it('match a flood fill in pixels, measures and contours, for any mask', () => {
    fc.assert(
      fc.property(masks, (mask) => {
        const { width, height } = mask;
        const labels = labelsOf(mask);
        const found = regionsOf(labels, width);
        const expected = flooded(labels, width);
        expect(found.length).toBe(expected.length);
        expect(found.map(({ id }) => id)).toEqual(found.map((_, i) => i + 1));
        const byFirst = new Map(expected.map((pixels) => [Math.min(...pixels), pixels]));
        for (const region of found) {
          const pixels = painted(region.rings, width, height).sort((a, b) => a - b);
          const truth = byFirst.get(pixels[0]!)!.sort((a, b) => a - b);
          expect(pixels).toEqual(truth);
          expect(region.label).toBe(labels[pixels[0]!]);
          expect(region.area).toBe(truth.length);
          expect(region.rings.reduce((sum, ring) => sum + ringArea(ring), 0)).toBe(truth.length);
          expect(faultOf(region.rings)).toBe(null);
          const xs = truth.map((at) => at % width);
          const ys = truth.map((at) => Math.floor(at / width));
          const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length + 0.5;
          expect(region.centroid.x).toBeCloseTo(mean(xs), 9);
          expect(region.centroid.y).toBeCloseTo(mean(ys), 9);
          const [x, y] = [Math.min(...xs), Math.min(...ys)];
          expect(region.box).toEqual({
            x,
            y,
            width: Math.max(...xs) - x + 1,
            height: Math.max(...ys) - y + 1,
          });
          let length = 0;
          for (const ring of region.rings) {
            for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
              const [dx, dy] = [Math.abs(ring[i]! - ring[j]!), Math.abs(ring[i + 1]! - ring[j + 1]!)];
              expect(dx === 0 || dy === 0).toBe(true);
              length += dx + dy;
            }
          }
          expect(region.perimeter).toBe(length);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('simplifyRings', () => {
  it('preserves details beyond the tolerance, and straightens stairs', () => {
    const stairs = Int32Array.from([0, 0, 40, 0, 40, 1, 39, 1, 39, 2, 38, 2, 38, 3, 37, 3, 37, 40, 0, 40]);
    const [simple] = simplifyRings([stairs], 1.5, { width: 100, height: 100 });
    expect(simple!.length).toBeLessThan(stairs.length);
    expect(areaOf(simple!)).toBeCloseTo(areaOf(stairs), 2);
    expect(simplifyRings([stairs], 0, { width: 100, height: 100 })).toEqual([stairs]);
  });

  it('preserves validity and area of polygons, with rings within the tolerance, for any mask', () => {
    fc.assert(
      fc.property(masks, fc.constantFrom(0.6, 1, 2, 5), (mask, tolerance) => {
        const labels = labelsOf(mask);
        for (const { rings } of regionsOf(labels, mask.width)) {
          const simple = simplifyRings(rings, tolerance, mask);
          expect(faultOf(simple)).toBe(null);
          for (const [i, ring] of rings.entries()) {
            expect(Math.abs(areaOf(simple[i]!) - areaOf(ring))).toBeLessThan(0.001);
            for (let at = 0; at < ring.length; at += 2) {
              expect(distanceTo(simple[i]!, ring[at]!, ring[at + 1]!)).toBeLessThan(tolerance + 0.001);
            }
            for (const [at, value] of Array.from(simple[i]!).entries()) {
              expect(value).toBeGreaterThanOrEqual(0);
              expect(value).toBeLessThanOrEqual(at % 2 ? mask.height : mask.width);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Distance from a point to a ring. */
function distanceTo(ring: ArrayLike<number>, x: number, y: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    const [dx, dy] = [ring[i]! - ring[j]!, ring[i + 1]! - ring[j + 1]!];
    const along = ((x - ring[j]!) * dx + (y - ring[j + 1]!) * dy) / (dx * dx + dy * dy);
    const t = Math.min(1, Math.max(0, along));
    least = Math.min(least, Math.hypot(x - ring[j]! - t * dx, y - ring[j + 1]! - t * dy));
  }
  return least;
}
