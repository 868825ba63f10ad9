import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Card,
  cardSchema,
  featuresOf,
  normalisationOf,
  trainingRangeOf,
  unetOf,
} from '../../../model/shelf/card.js';
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
    [[{ step: 'scale_linear', gain: [1, 1], offset: [0] }], 'expected 1 number, or 1'],
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
