import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COLUMN_BLOCK_PX, chooseTile, haloShare, parseTileChoice, planTiles } from '../../tiling/plan.js';
import { even } from '../support/rasters.js';

/** The paper's network, two shallower ones, and one that pools by three, whose tiles are not aligned to blocks. */
const RULES = [
  { halo: even(92), multiple: 16, smallest: 204 },
  { halo: even(44), multiple: 8, smallest: 100 },
  { halo: even(20), multiple: 4, smallest: 48 },
  { halo: even(30), multiple: 12, smallest: 84 },
];

describe('a plan', () => {
  it("steps by 384 px, not by the paper's 388, for tiles of 572", () => {
    const plan = planTiles(
      { width: 1084, height: 1084 },
      { tile: { width: 572, height: 572 }, rule: RULES[0]! },
    );
    expect(plan.stride).toEqual({ width: 384, height: 384 });
    expect(plan.count).toBe(9);
    const [first] = plan.bands();
    expect(first!.tiles[1]).toEqual({
      index: 1,
      write: { x: 384, y: 0, width: 384, height: 384 },
      read: { x: 384 - 92, y: -92, width: 572, height: 572 },
      crop: { x: 0, y: 0, width: 384, height: 384 },
    });
  });

  it('partitions the image, aligns every read, and bounds the height of bands, for any image and tile', () => {
    const sizes = fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 1200 }), fc.integer({ min: 1, max: 1200 })),
      fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 1, max: 60 })),
    );
    fc.assert(
      fc.property(sizes, fc.nat(3), fc.nat(60), fc.nat(60), ([width, height], which, across, down) => {
        const rule = RULES[which]!;
        const side = (k: number) => rule.smallest + k * rule.multiple;
        const tile = { width: side(across), height: side(down) };
        const plan = planTiles({ width, height }, { tile, rule });
        const phase = ((-rule.halo.top % rule.multiple) + rule.multiple) % rule.multiple;
        let pixels = 0;
        let tiles = 0;
        let at = { x: 0, y: 0 };
        for (const band of plan.bands()) {
          if (band.write.x !== at.x) at = { x: band.write.x, y: 0 };
          expect(band.write.y).toBe(at.y);
          at.y += band.write.height;
          if (plan.count > 1) expect(band.write.x % COLUMN_BLOCK_PX).toBe(0);
          if (plan.count > 1) expect(band.write.width).toBeLessThanOrEqual(COLUMN_BLOCK_PX);
          let x = band.write.x;
          for (const { index, read, write, crop } of band.tiles) {
            expect(index).toBe(tiles++);
            expect([write.x, write.y]).toEqual([x, band.write.y]);
            x += write.width;
            pixels += write.width * write.height;
            expect([read.x, read.y]).toEqual([write.x - crop.x - rule.halo.left, write.y - rule.halo.top]);
            expect([crop.y, crop.width, crop.height]).toEqual([0, write.width, write.height]);
            expect(((read.x % rule.multiple) + rule.multiple) % rule.multiple).toBe(phase);
            expect(crop.x + crop.width).toBeLessThanOrEqual(tile.width - 2 * rule.halo.top);
            expect(crop.height).toBeLessThanOrEqual(tile.height - 2 * rule.halo.top);
          }
          expect(x).toBe(band.write.x + band.write.width);
        }
        expect(pixels).toBe(width * height);
        expect(tiles).toBe(plan.count);
        expect(haloShare(plan)).toBeLessThan(1);
      }),
      { numRuns: 150 },
    );
  });

  it('is lazy: the first tile of a slide of 10 billion pixels is immediate', () => {
    const plan = planTiles(
      { width: 100_000, height: 100_000 },
      { tile: { width: 572, height: 572 }, rule: RULES[0]! },
    );
    const [first] = plan.bands();
    expect(first!.tiles.length).toBe(22);
    expect(plan.count).toBeGreaterThan(67_000);
  });

  it.each([573, 188, 0])('refuses a tile of %i px and suggests valid ones', (side) => {
    const plan = () =>
      planTiles({ width: 9, height: 9 }, { tile: { width: side, height: 572 }, rule: RULES[0]! });
    expect(plan).toThrow(/not a valid tile side.*204 \+ k·16/);
  });

  it('refuses a giant tile that does not cover the image', () => {
    const tile = { width: 204 + 16 * 1000, height: 572 };
    expect(() => planTiles({ width: 50_000, height: 500 }, { tile, rule: RULES[0]! })).toThrow(
      /do not cover/,
    );
  });
});

describe('the choice of a tile', () => {
  it.each([
    ['whole', 'whole'],
    ['auto', 'auto'],
    ['572', { width: 572, height: 572 }],
    ['572x828', { width: 572, height: 828 }],
  ] as const)('reads %s', (text, choice) => {
    expect(parseTileChoice(text)).toEqual(choice);
  });

  it.each(['', 'big', '572x', '-4', '5.5', '572x828x3'])('refuses "%s"', (text) => {
    expect(() => parseTileChoice(text)).toThrow(/invalid tile .*: expected/);
  });

  it('has few sizes for "auto", whatever the image', () => {
    const sides = new Set<number>();
    const rule = RULES[1]!;
    for (let length = 1; length < 3000; length++) {
      const { width } = chooseTile({ width: length, height: 9 }, 'auto', rule);
      const plan = planTiles({ width: length, height: 9 }, { tile: { width, height: 100 }, rule });
      sides.add(width);
      // a side of up to 640 px is one tile, of hardly more than the image and its halo
      if (length <= 640) {
        expect(plan.count).toBe(1);
        expect(width).toBeLessThan(length + 88 + (length <= 512 ? 32 : 64) + 8);
      }
    }
    expect(sides.size).toBe(512 / 32 + (640 - 512) / 64);
  });

  it('covers a side of many tiles for "auto" by the fewest px', () => {
    const rule = RULES[1]!;
    const tiles = (length: number) =>
      planTiles(
        { width: length, height: length },
        { tile: chooseTile({ width: length, height: length }, 'auto', rule, 512), rule },
      ).stride.width;
    expect(tiles(512 * 7)).toBe(512);
    expect(tiles(448 * 5)).toBe(448); // 5 tiles of 536 px; 5 of 600 otherwise
    expect(tiles(100_000)).toBe(512);
  });

  it('covers the image once for "whole", and by tiles of about one size for "auto"', () => {
    for (const rule of RULES) {
      for (const size of [
        { width: 1, height: 1 },
        { width: 700, height: 3000 },
        { width: 2220, height: 2967 },
      ]) {
        const whole = planTiles(size, { tile: chooseTile(size, 'whole', rule), rule });
        expect(whole.count).toBe(1);
        const auto = planTiles(size, { tile: chooseTile(size, 'auto', rule), rule });
        expect(auto.count).toBeGreaterThanOrEqual(Math.ceil(size.width / 640) * Math.ceil(size.height / 640));
        expect(auto.count).toBeLessThanOrEqual(Math.ceil(size.width / 384) * Math.ceil(size.height / 384));
      }
    }
  });
});
