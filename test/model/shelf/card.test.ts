import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readsIntensities } from '../../../model/network/normalisation.js';
import { mapped, mapsOf } from '../../../model/network/tile-scale.js';
import {
  type Card,
  cardSchema,
  featuresOf,
  normalisationOf,
  trainingRangeOf,
  unetOf,
} from '../../../model/shelf/card.js';
import { issueOf as lineOf } from '../../../model/shelf/schema-issue.js';
import { MODELS } from '../../support/product.js';

const json = JSON.parse(await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8'));
const parse = (other: object): Card => cardSchema.parse({ ...json, form: 3, ...other });
const issueOf = (other: object): string =>
  cardSchema.safeParse({ ...json, ...other }).error!.issues[0]!.message;

describe('a card', () => {
  it('of an earlier form is parsed to what it was: the keys of its results and journals stay', () => {
    const earlier = { ...json, form: 2, normalisation: { range: [0, 4095], type: 'uint16' } };
    expect(JSON.stringify(cardSchema.parse(json))).toBe(JSON.stringify(json));
    expect(JSON.stringify(cardSchema.parse(earlier)).length).toBe(JSON.stringify(earlier).length);
  });

  it('has its normalisation as steps, whatever its form', () => {
    const trained = { range: [0, 4095] as [number, number], type: 'uint16' };
    expect(normalisationOf(parse({ form: 1 }))).toEqual([{ step: 'type-range' }]);
    expect(normalisationOf(parse({ form: 2, normalisation: trained }))).toEqual([
      { step: 'type-range', trained },
    ]);
    expect(trainingRangeOf(parse({ normalisation: [{ step: 'type-range', trained }] }))).toEqual(trained);
    expect(trainingRangeOf(parse({ normalisation: [{ step: 'clip', min: 0, max: 1 }] }))).toBeUndefined();
  });

  it('names up to 64 channels, none of them twice, in any case', () => {
    const channels = Array.from({ length: 64 }, (_, i) => ({ name: `marker ${i}`, aliases: [`m${i}`] }));
    expect(parse({ inputChannels: 64, channels }).channels).toEqual(channels);
    expect(issueOf({ inputChannels: 65 })).toMatch(/64/);
    expect(issueOf({ inputChannels: 2, channels: [{ name: 'DAPI' }] })).toMatch('as many as inputChannels');
    const twice = [{ name: 'DAPI' }, { name: 'CD45', aliases: ['dapi'] }];
    expect(issueOf({ inputChannels: 2, channels: twice })).toMatch('two channels share a name');
  });

  it.each([
    [[{ step: 'clip', min: 0, max: 1 }, { step: 'type-range' }], 'type-range has to be the first'],
    [[{ step: 'scale_linear', gain: [1, 1], offset: [0] }], 'expected 1 number'],
    [[{ step: 'scale_linear', gain: [0], offset: [0] }], ''],
    [[{ step: 'scale_range', percentiles: [99, 1], of: 'image', eps: 1e-6 }], ''],
    [
      [
        { step: 'zero_mean_unit_variance', of: 'channel', eps: 1e-6 },
        { step: 'scale_range', percentiles: [1, 99], of: 'image', eps: 1e-6 },
      ],
      'cannot follow a step that treats each by itself',
    ],
  ])('refuses the normalisation %j', (normalisation, reason) => {
    expect(issueOf({ normalisation })).toMatch(reason);
  });

  it.each([
    [
      { step: 'scale_linear', gain: 1, offset: 0 },
      { step: 'scale_linear', gain: [1], offset: [0] },
    ],
    [
      { step: 'zero_mean_unit_variance', mean: 0.5, deviation: [0.2] },
      { step: 'zero_mean_unit_variance', mean: [0.5], deviation: [0.2] },
    ],
    [
      { step: 'scale_range', low: 100, high: 4000 },
      { step: 'scale_range', low: [100], high: [4000] },
    ],
  ])('takes a number for a list of one: %j', (step, expected) => {
    expect(normalisationOf(parse({ normalisation: [step] }))).toEqual([expected]);
  });

  it('with no steps reads values as they are stored', () => {
    const steps = normalisationOf(parse({ normalisation: [] }));
    expect(steps).toEqual([]);
    expect(readsIntensities(steps)).toBe(false);
    expect(mapsOf(steps, 1, 255, []).map((map) => mapped(map, 200))).toEqual([200]);
  });

  it.each([
    [
      ['clip'],
      'normalisation[0]: expected a step, such as {"step": "scale_linear", "gain": 0.01, "offset": 0}',
    ],
    [
      [{ step: 'scale_linear', gain: 1 }],
      'normalisation[0].offset: expected a number, or a list with one for each channel',
    ],
    [
      [{ step: 'type-range' }, { step: 'scale_linear', gain: ['1'], offset: 0 }],
      'normalisation[1].gain[0]: expected a number',
    ],
    [
      [{ step: 'zero_mean_unit_variance', mean: 0, std: 1 }],
      'normalisation[0].deviation: expected a number, or a list with one for each channel',
    ],
    [
      [{ step: 'zero_mean_unit_variance', of: 'image' }],
      'normalisation[0].eps: expected a number above 0, such as 1e-6',
    ],
    [
      [{ step: 'zero_mean_unit_variance', of: 'all', eps: 1e-6 }],
      'normalisation[0].of: Invalid option: expected one of "channel"|"image"',
    ],
    [
      [{ step: 'scale_range', percentiles: 99, of: 'image', eps: 1e-6 }],
      'normalisation[0].percentiles: expected two percentiles, such as [1, 99.8]',
    ],
    [
      [{ step: 'scale-linear', gain: 1, offset: 0 }],
      'normalisation[0].step: expected one of "type-range", "scale_linear", "zero_mean_unit_variance", "scale_range", "clip"',
    ],
    ['none', 'normalisation: expected a list of steps'],
    [[{ step: 'scale_linear', gain: [1, 1], offset: 0 }], 'normalisation[0].gain: expected 1 number'],
  ])('says of the normalisation %j what is wrong where', (normalisation, reason) => {
    expect(lineOf(cardSchema.safeParse({ ...json, normalisation }).error!)).toBe(reason);
  });

  it('of an imported network has what tiles and memory need, and no U-Net', () => {
    const { parameters, halo, padded, multiple, smallest, tileable } = json.architecture;
    const network = { parameters, halo, padded, multiple, smallest, tileable, features: 32 };
    const card = parse({ architecture: { kind: 'onnx', ...network }, postprocessing: [{ step: 'sigmoid' }] });
    expect(featuresOf(card)).toBe(32);
    expect(() => unetOf(card, 1)).toThrow(/was imported/);
    expect(issueOf({ postprocessing: [{ step: 'threshold', value: 0.5 }, { step: 'softmax' }] })).toMatch(
      'softmax or sigmoid',
    );
  });
});
