import { describe, expect, it } from 'vitest';
import { classesOf, parseLegend } from '../../../../server/commands/training-values.js';
import { foldTable } from '../../../../server/training/data/folds.js';
import {
  countLabels,
  IGNORED,
  LabelCodec,
  type LabelRules,
} from '../../../../server/training/data/labels.js';
import { foldsOf, splitPairs } from '../../../../server/training/data/split.js';
import { classWeightsOf } from '../../../../server/training/settings.js';
import type { Raster } from '../../../../tiling/raster.js';
import { memorySource } from '../../../../tiling/sources/memory.js';

const gray = (...values: number[]) => ({
  data: Uint8Array.from(values),
  width: values.length,
  height: 1,
  channels: 1,
});
const rules = (change: Partial<LabelRules>): LabelRules => ({
  classes: 3,
  ignore: null,
  legend: null,
  ...change,
});
function codecOf(change: Partial<LabelRules>, ...values: number[]): LabelCodec {
  return codecFor(rules(change), gray(...values));
}
function codecFor(rules: LabelRules, ...rasters: Raster[]): LabelCodec {
  const counts = new Map<number, number>();
  for (const raster of rasters) countLabels(raster, counts);
  return new LabelCodec(rules, counts);
}

describe('labels', () => {
  it('are class indices', () => {
    const codec = codecOf({}, 0, 1, 2, 2);
    expect(codec.frequencies()).toEqual([1, 1, 2]);
    expect(codec.decode(gray(2, 0))).toEqual(Uint8Array.of(2, 0));
  });

  it('are 0 and 255 for two classes, optionally with an ignored value', () => {
    expect(codecOf({ classes: 2 }, 0, 255, 255).frequencies()).toEqual([1, 2]);
    expect(() => codecOf({ classes: 2 }, 0, 1, 255).frequencies()).toThrow(
      /hold the value 255; 2 classes are 0 to 1/,
    );
    const codec = codecOf({ classes: 2, ignore: 255 }, 0, 1, 255);
    expect(codec.frequencies()).toEqual([1, 1]);
    expect(codec.decode(gray(0, 1, 255))).toEqual(Uint8Array.of(0, 1, IGNORED));
  });

  it('are refused outside the classes, with a message that states the valid values', () => {
    expect(() => codecOf({}, 0, 7).frequencies()).toThrow(
      /value 7; 3 classes are 0 to 2; name a value that does not count with --ignore/,
    );
  });

  it('are colours of a legend', () => {
    const legend = new Map([
      [0x000000, 0],
      [0xff0000, 2],
      [0xffffff, IGNORED],
    ]);
    const picture = {
      data: Uint8Array.of(255, 0, 0, 0, 0, 0, 255, 255, 255),
      width: 3,
      height: 1,
      channels: 3,
    };
    const codec = codecFor(rules({ legend }), picture);
    expect(codec.frequencies()).toEqual([1, 0, 1]);
    expect(codec.decode(picture)).toEqual(Uint8Array.of(2, 0, IGNORED));
    const other = { data: Uint8Array.of(0, 16, 255), width: 1, height: 1, channels: 3 };
    expect(() => codecFor(rules({ legend }), picture, other)).toThrow(
      /colour #0010ff, which --legend does not name/,
    );
  });
});

describe('a legend', () => {
  it('defines the default names, order and colours of the classes', () => {
    const legend = '#000000=none,#FF0000=cell,#00ff00=wall,#aa0000=cell,#ffffff=ignore';
    const classes = classesOf({ legend });
    expect(classes).toEqual([
      { name: 'none', colour: null },
      { name: 'cell', colour: '#ff0000' },
      { name: 'wall', colour: '#00ff00' },
    ]);
    expect(parseLegend(legend, classes).map(([, index]) => index)).toEqual([0, 1, 2, 1, IGNORED]);
    expect(() => classesOf({})).toThrow('name them with --classes or --legend, or use --instances');
    expect(() => classesOf({ legend, instances: true })).toThrow(/leave one out/);
  });
});

describe('class weights', () => {
  it('are balanced: classes have equal total weight, the mean is 1, and absent classes weigh 1', () => {
    const weights = classWeightsOf('balanced', [900, 100, 0]);
    expect(weights[0]! * 900).toBeCloseTo(weights[1]! * 100);
    expect((weights[0]! + weights[1]!) / 2).toBeCloseTo(1);
    expect(weights[2]).toBe(1);
    expect(classWeightsOf('none', [5, 6])).toEqual([1, 1]);
    expect(classWeightsOf([2, 3], [5, 6])).toEqual([2, 3]);
  });
});

describe('a split', () => {
  const source = memorySource(gray(0));
  const pairs = ['a', 'b', 'c', 'd', 'e', 'f'].map((stem) => ({ stem, image: source, labels: source }));
  const stems = (part: readonly { stem: string }[]) => part.map(({ stem }) => stem).join('');

  it('validates on the last fifth of the images that are not for testing', () => {
    const { training, validation, test } = splitPairs(pairs, { validation: null, test: ['f'] });
    expect([stems(training), stems(validation), stems(test)]).toEqual(['abcd', 'e', 'f']);
  });

  it('into folds validates on each image once', () => {
    expect(foldsOf(['a', 'b', 'c', 'd', 'e'], 2)).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e'],
    ]);
    expect(() => foldsOf(['a', 'b'], 3)).toThrow(/3 folds need as many images/);
  });

  it('into folds is reported by fold, with the mean and the standard deviation', () => {
    const table = foldTable([{ pixelError: 0.1 }, { pixelError: 0.3 }]).split('\n');
    expect(table.map((line) => line.split(/\s+/))).toEqual([
      ['fold', 'pixelError'],
      ['1', '0.1000'],
      ['2', '0.3000'],
      ['mean', '0.2000'],
      ['sd', '0.1414'],
    ]);
  });
});
