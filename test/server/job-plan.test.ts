import { describe, expect, it } from 'vitest';
import type { Card } from '../../model/card.js';
import { planJob } from '../../server/job-plan.js';
import { even } from '../support/rasters.js';

const geometry = { padded: even(0), tileable: true, halo: even(44), multiple: 8, smallest: 100 };
const card = { name: 'net', inputChannels: 1 } as Card;
const source = {
  size: { width: 3000, height: 2000 },
  channels: 1,
  channelNames: null,
  notes: ['alpha dropped'],
};
const whole = { width: 2000, height: 572 };

describe('planJob', () => {
  it('takes the tile that is asked for', () => {
    const { plan, conversion, warnings } = planJob(
      source,
      { card, geometry, exact: true },
      { width: 572, height: 828 },
    );
    expect([plan.tile, conversion, warnings]).toEqual([
      { width: 572, height: 828 },
      'none',
      ['alpha dropped'],
    ]);
  });

  it('keeps one fixed tile, and says so, on a device whose tiles disagree', () => {
    const inexact = { card, geometry, exact: false };
    const tiles = (['whole', 'auto', { width: 572, height: 828 }] as const).map((choice) =>
      planJob(source, inexact, choice),
    );
    const others = planJob({ ...source, size: whole }, inexact, 'auto');
    for (const { plan, warnings } of [...tiles, others]) {
      expect(plan.tile).toEqual({ width: 732, height: 732 });
      expect(warnings[1]).toMatch(/failed the tiling test/);
    }
  });

  it.each([
    [3, 1, 'luminance'],
    [1, 3, 'copied'],
    [3, 3, 'none'],
  ] as const)('gives an image of %i channels to a model of %i: %s', (channels, inputChannels, expected) => {
    const model = { card: { ...card, inputChannels }, geometry, exact: true };
    expect(planJob({ ...source, channels }, model, 'auto').conversion).toBe(expected);
  });

  it('refuses channels that no conversion suits', () => {
    const model = { card, geometry, exact: true };
    expect(() => planJob({ ...source, channels: 2 }, model, 'auto')).toThrow(/2 channels; model net takes 1/);
    const stained = { ...source, channels: 3, channelNames: ['DAPI', 'GFP', 'Cy5'] };
    expect(() => planJob(stained, model, 'auto')).toThrow(/choose with "channels" from 0 DAPI, 1 GFP, 2 Cy5/);
  });
});
