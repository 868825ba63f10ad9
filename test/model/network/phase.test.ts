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
  it('begin at multiples of its strides, and have the same halo on all sides', () => {
    const found = inPhase(geometryOf(margins(38, 40, 30, 30), margins(38, 40, 30, 30)));
    expect(found).toMatchObject({ halo: margins(40, 40, 40, 40), padded: found.halo, smallest: 96 });
  });

  it('return a multiple of px at least', () => {
    const found = inPhase(geometryOf(margins(44, 44, 44, 44), margins(44, 44, 44, 44)));
    expect(found).toMatchObject({ halo: margins(48, 48, 48, 48), smallest: 2 * 48 + 8 });
  });

  it('stay as a card states them', () => {
    const derived = geometryOf(margins(38, 38, 30, 30), margins(38, 38, 30, 30));
    expect(phasedAs(derived, derived.halo)).toEqual(derived);
    expect(phasedAs(derived, margins(40, 40, 40, 40))).toEqual(inPhase(derived));
    expect(phasedAs(derived, undefined)).toEqual(inPhase(derived));
  });
});

it('each axis is aligned where the network pads it', () => {
  const found = inPhase(geometryOf(margins(38, 12, 30, 12), margins(38, 0, 30, 0)));
  expect(found).toMatchObject({ halo: margins(40, 12, 40, 12), padded: margins(40, 0, 40, 0) });
});

it('what a network cuts beside its padding is mirrored: its tiles begin with that', () => {
  const both = inPhase(geometryOf(margins(13, 13, 11, 13), margins(12, 12, 10, 12)));
  expect(both).toMatchObject({ halo: margins(17, 17, 17, 17), padded: margins(16, 16, 16, 16) });
});

it('tiles of a network that returns fewer px than it reads begin with its halo', () => {
  const valid = geometryOf(margins(44, 44, 44, 44), margins(0, 0, 0, 0));
  expect(inPhase(valid)).toEqual(valid);
});
