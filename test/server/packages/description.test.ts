import { describe, expect, it } from 'vitest';
import { parseDescription } from '../../../server/packages/description.js';
import { normalisationOf, postprocessingOf } from '../../../server/packages/processing.js';
import { DESCRIPTION_04, DESCRIPTION_05 } from '../../support/packages.js';

const parse = (text: string) => parseDescription(Buffer.from(text), 'rdf.yaml');
const written = (json: object) => parse(JSON.stringify(json));

describe('a description', () => {
  it('of either version says the same', () => {
    const [old, recent] = [written(DESCRIPTION_04), written(DESCRIPTION_05)];
    expect(old.input).toMatchObject({ axes: ['b', 'c', 'y', 'x'], channels: 1, channelNames: null });
    expect(recent.input).toMatchObject({ axes: ['b', 'c', 'y', 'x'], channels: 1, channelNames: ['raw'] });
    expect(old.output.halo).toEqual({ y: 8, x: 8 });
    expect(recent.output.halo).toEqual({ y: 8, x: 8 });
    expect(normalisationOf(old.input)).toEqual(normalisationOf(recent.input));
    expect(postprocessingOf(old.output)).toEqual(postprocessingOf(recent.output));
    expect([...old.weights.keys()]).toEqual([...recent.weights.keys()]);
  });

  it('has no range where its bounds are infinite, as most have it', () => {
    const [image] = DESCRIPTION_04.inputs;
    for (const data_range of [
      ['-.inf', '.inf'],
      ['-inf', 'inf'],
      ['null', 'null'],
    ]) {
      const text = JSON.stringify({ ...DESCRIPTION_04, inputs: [{ ...image, data_range: 'RANGE' }] });
      expect(parse(text.replace('"RANGE"', `[${data_range}]`)).input.range).toBeNull();
    }
    expect(written({ ...DESCRIPTION_04, inputs: [{ ...image, data_range: [0, 1] }] }).input.range).toEqual([
      0, 1,
    ]);
  });

  it.each([
    ['{', /rdf\.yaml is not YAML/],
    ['[1, 2]', /rdf\.yaml: /],
    ['type: dataset\nformat_version: 0.5.0', /a resource of type dataset, not a model/],
    ['type: model\nformat_version: 0.3.6', /has format version 0\.3\.6; 0\.4 and 0\.5 are supported/],
    ['type: model\nformat_version: 0.5.0\nname: a', /rdf\.yaml: weights/],
    [`a: ${'&a [x]\nb: '.repeat(1)}*a\n${'y'.repeat(2 ** 20)}`, /more than 1 MiB/],
  ])('is refused where it is none: %#', (text, reason) => {
    expect(() => parse(text)).toThrow(reason);
  });

  it('is refused where its references would grow without bound', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`);
    const text = ['a: &a-1 [x]', ...levels].join('\n').replaceAll('a-1', 'b');
    expect(() => parse(text)).toThrow(/not YAML: Excessive alias count/);
  });

  it('of a volume, or of several images, is refused', () => {
    const [input] = DESCRIPTION_05.inputs;
    const z = { type: 'space', id: 'z', size: 16 };
    const volume = { ...DESCRIPTION_05, inputs: [{ ...input, axes: [...input!.axes, z] }] };
    expect(() => written(volume)).toThrow(/an axis z: .*no volumes/);
    const two = { ...DESCRIPTION_05, inputs: [input, { ...input, id: 'other' }] };
    expect(() => written(two)).toThrow(/2 inputs \(image, other\)/);
  });
});

const input = (...steps: object[]) => {
  const [first] = DESCRIPTION_05.inputs;
  return written({ ...DESCRIPTION_05, inputs: [{ ...first, preprocessing: steps }] }).input;
};
const output = (...steps: object[]) => {
  const [first] = DESCRIPTION_05.outputs;
  return written({ ...DESCRIPTION_05, outputs: [{ ...first, postprocessing: steps }] }).output;
};
const spatial = { axes: ['y', 'x'] };

describe('steps', () => {
  it('become those of a card', () => {
    const { normalisation } = normalisationOf(
      input(
        { id: 'ensure_dtype', kwargs: { dtype: 'float32' } },
        { id: 'scale_linear', kwargs: { gain: 2 } },
        { id: 'zero_mean_unit_variance', kwargs: spatial },
        { id: 'scale_range', kwargs: { min_percentile: 1, max_percentile: 99.8 } },
        { id: 'fixed_zero_mean_unit_variance', kwargs: { mean: 3, std: 2, eps: 0 } },
        { id: 'clip', kwargs: { min: 0, max: 1 } },
      ),
    );
    expect(normalisation).toEqual([
      { step: 'scale_linear', gain: [2], offset: [0] },
      { step: 'zero_mean_unit_variance', of: 'channel', eps: 1e-6 },
      { step: 'scale_range', percentiles: [1, 99.8], of: 'image', eps: 1e-6 },
      { step: 'zero_mean_unit_variance', mean: [3], deviation: [2] },
      { step: 'clip', min: 0, max: 1 },
    ]);
  });

  it('are none where values are intensities, and one that changes nothing where they are anything', () => {
    const [first] = DESCRIPTION_05.inputs;
    const plain = (range: readonly (number | null)[]) =>
      normalisationOf(
        written({ ...DESCRIPTION_05, inputs: [{ ...first, preprocessing: [], data: { range } }] }).input,
      ).normalisation;
    expect(plain([0, 1])).toEqual([{ step: 'type-range' }]);
    expect(plain([null, null])).toEqual([]);
  });

  it.each([
    [{ id: 'scale_mean_variance', kwargs: {} }, /its step scale_mean_variance is not supported/],
    [{ id: 'binarize', kwargs: { threshold: 3 } }, /its step binarize is not supported/],
    [{ id: 'zero_mean_unit_variance', kwargs: { axes: ['channel'] } }, /along the axes channel/],
    [{ id: 'scale_range', kwargs: { reference_tensor: 'other' } }, /percentiles of another tensor, other/],
    [{ id: 'scale_linear', kwargs: { gain: 'two' } }, /its step scale_linear: gain/],
  ])('in front of a network are refused by name: %j', (step, reason) => {
    expect(() => normalisationOf(input(step))).toThrow(reason);
  });

  it('behind a network end in probabilities', () => {
    const steps = [{ id: 'sigmoid' }, { id: 'binarize', kwargs: { threshold: 0.3 } }];
    expect(postprocessingOf(output(...steps))).toEqual({
      postprocessing: [{ step: 'sigmoid' }, { step: 'threshold', value: 0.3 }],
      binarised: 0.3,
    });
    expect(() => postprocessingOf(output({ id: 'stardist_postprocessing', kwargs: {} }))).toThrow(
      /stardist_postprocessing is not supported/,
    );
    expect(() => postprocessingOf(output({ id: 'scale_linear', kwargs: {} }))).toThrow(
      /make no probabilities/,
    );
  });
});
