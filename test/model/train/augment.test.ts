import { describe, expect, it } from 'vitest';
import { AUGMENTATIONS, NO_AUGMENTATION } from '../../../model/train/augment.js';
import { jitterIntensities } from '../../../model/train/intensity-jitter.js';
import { Random } from '../../../model/train/random.js';
import { drawWarp } from '../../../model/train/warp.js';

const side = 21;
const draws = <T>(count: number, draw: (random: Random) => T): T[] =>
  Array.from({ length: count }, (_, i) => draw(Random.at(1, i)));

describe('the geometry of an augmentation', () => {
  it('is the identity when no augmentation is requested', () => {
    const { x, y, exact } = drawWarp(NO_AUGMENTATION, 3, new Random(1));
    expect([...x]).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
    expect([...y]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    expect(exact).toBe(true);
  });

  it('is exactly one of the eight symmetries of the square, and covers all of them', () => {
    const kinds = draws(200, (random) => {
      const { x, y, exact } = drawWarp(AUGMENTATIONS.dihedral, side, random);
      expect(exact).toBe(true);
      const places = Array.from(x, (u, at) => y[at]! * side + u);
      expect(new Set(places).size).toBe(side * side);
      expect(Math.min(...places)).toBe(0);
      expect(Math.max(...places)).toBe(side * side - 1);
      return `${places[0]},${places[1]}`;
    });
    expect(new Set(kinds).size).toBe(8);
  });

  it('rotates and scales about the centre, and shifts, within its ranges', () => {
    for (const { x, y } of draws(50, (random) =>
      drawWarp({ ...NO_AUGMENTATION, shift: 0.1, scale: 0.2, rotate: 45 }, side, random),
    )) {
      const middle = (side * side - 1) / 2;
      expect(Math.abs(x[middle]! - 10)).toBeLessThanOrEqual(0.1 * side + 1e-4);
      const [dx, dy] = [x[middle + 1]! - x[middle]!, y[middle + 1]! - y[middle]!];
      expect(Math.hypot(dx, dy)).toBeGreaterThan(1 / 1.2 - 1e-3);
      expect(Math.hypot(dx, dy)).toBeLessThan(1 / 0.8 + 1e-3);
      expect(Math.abs(Math.atan2(dy, dx))).toBeLessThanOrEqual(Math.PI / 4 + 1e-3);
    }
  });

  it.each([
    ['elastic', { ...NO_AUGMENTATION, elastic: 10 }, 10, 0.15],
    [
      'dense',
      { ...NO_AUGMENTATION, dense: 35, denseSigma: 5 },
      35 / Math.sqrt(3) / Math.sqrt(4 * Math.PI * 25),
      0.3,
    ],
  ] as const)(
    '%s displacements are smooth, with the requested deviation',
    (_name, augmentation, sigma, tolerance) => {
      const all = draws(60, (random) => drawWarp(augmentation, 61, random));
      const corner = 0; // a node of the coarse grid
      const squares = all.map(({ x }) => x[corner]! ** 2);
      const middle = all.map(({ x }) => (x[30 * 61 + 30]! - 30) ** 2);
      const mean = (values: number[]) => Math.sqrt(values.reduce((a, b) => a + b) / values.length);
      const found = _name === 'elastic' ? mean([...squares, ...middle]) : mean(middle);
      expect(Math.abs(found / sigma - 1)).toBeLessThan(tolerance);
      for (const { x } of all) {
        for (let at = 1; at < 61; at++) expect(Math.abs(x[at]! - x[at - 1]! - 1)).toBeLessThan(sigma);
      }
    },
  );

  it('is deterministic for the same seed, epoch and step', () => {
    const [first, again, other] = [Random.at(3, 1, 2), Random.at(3, 1, 2), Random.at(3, 2, 1)].map(
      (random) => drawWarp(AUGMENTATIONS['isbi-2012'], side, random).x,
    );
    expect(first).toEqual(again);
    expect(first).not.toEqual(other);
  });
});

describe('intensities', () => {
  const flat = () => new Float32Array(20_000).fill(0.5);
  const change = (part: object, random = new Random(5)) => {
    const pixels = flat();
    jitterIntensities(pixels, { ...NO_AUGMENTATION, ...part }, random);
    return pixels;
  };

  it('are unchanged when no augmentation is requested', () => {
    expect(change({})).toEqual(flat());
  });

  it('brightness and contrast change all pixels alike, and stay in [0, 1]', () => {
    for (const [first, ...rest] of draws(20, (random) =>
      change({ brightness: 0.3, contrast: 0.5 }, random),
    )) {
      expect(rest.every((value) => value === first)).toBe(true);
      expect(first).toBeGreaterThanOrEqual(0.2 - 1e-6);
      expect(first).toBeLessThanOrEqual(0.8 + 1e-6);
    }
    expect(change({ brightness: 5 }).every((x) => x >= 0 && x <= 1)).toBe(true);
  });

  it('gamma raises pixels to a power within its limits', () => {
    for (const [first] of draws(20, (random) => change({ gamma: 1 }, random))) {
      expect(first).toBeGreaterThanOrEqual(0.25 - 1e-6);
      expect(first).toBeLessThanOrEqual(Math.SQRT1_2 + 1e-6);
    }
  });

  it('noise is normal: it has the drawn standard deviation and thin tails', () => {
    const pixels = change({ noise: 0.1 });
    const mean = pixels.reduce((a, b) => a + b) / pixels.length;
    const deviation = Math.sqrt(pixels.reduce((sum, x) => sum + (x - mean) ** 2, 0) / pixels.length);
    expect(mean).toBeCloseTo(0.5, 2);
    expect(deviation).toBeLessThanOrEqual(0.1);
    const within = (z: number) =>
      pixels.filter((x) => Math.abs(x - mean) < z * deviation).length / pixels.length;
    expect(within(1)).toBeCloseTo(0.683, 1);
    expect(within(2)).toBeCloseTo(0.954, 1);
  });

  it('speckle multiplies each pixel by an independent factor', () => {
    const pixels = change({ speckle: 0.1 });
    expect(Math.min(...pixels)).toBeGreaterThanOrEqual(0.45 - 1e-6);
    expect(Math.max(...pixels)).toBeLessThanOrEqual(0.55 + 1e-6);
    expect(new Set(pixels).size).toBeGreaterThan(1000);
  });
});
