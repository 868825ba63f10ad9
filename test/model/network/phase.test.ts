import { describe, expect, it } from 'vitest';
import type { Margins, TileGeometry } from '../../../model/network/geometry.js';
import { inPhase, phasedAs } from '../../../model/network/phase.js';

const margins = (top: number, left: number, bottom: number, right: number): Margins => ({
  top,
  left,
  bottom,
  right,
});
const geometryOf = (halo: Margins, padded: Margins): TileGeometry => ({
  halo,
  padded,
  multiple: 8,
  smallest: 96,
  tileable: true,
});

describe('tiles of a network that pads', () => {
  it('begin at multiples of its strides', () => {
    const found = inPhase(geometryOf(margins(38, 40, 30, 30), margins(38, 40, 30, 30)));
    expect(found.halo).toEqual(margins(40, 40, 30, 30));
    expect(found).toMatchObject({ padded: found.halo, smallest: 96 });
  });

  it('have the same halo at both ends where they had, and return a multiple of px at least', () => {
    const found = inPhase(geometryOf(margins(44, 44, 44, 44), margins(44, 44, 44, 44)));
    expect(found.halo).toEqual(margins(48, 48, 48, 48));
    expect(found.smallest).toBe(2 * 48 + 8);
  });

  it('stay as a card states them', () => {
    const derived = geometryOf(margins(38, 38, 30, 30), margins(38, 38, 30, 30));
    expect(phasedAs(derived, derived.halo)).toEqual(derived);
    expect(phasedAs(derived, margins(40, 40, 30, 30))).toEqual(inPhase(derived));
    expect(phasedAs(derived, undefined)).toEqual(inPhase(derived));
  });
});

it('tiles of a network that returns fewer px than it reads begin with its halo', () => {
  const valid = geometryOf(margins(44, 44, 44, 44), margins(0, 0, 0, 0));
  expect(inPhase(valid)).toEqual(valid);
});
