import { describe, expect, it } from 'vitest';
import { parseParameters, planShape } from '../../../server/contract/parameters.js';
import { statisticsInReceipt } from '../../../server/contract/statistics.js';

const parse = (text: string) => parseParameters(planShape.stats, text);

describe('the parameter stats', () => {
  it('is a level, or numbers of channels, or of all', () => {
    expect(parse('level=3')).toEqual({ level: 3 });
    expect(parse('112:8040')).toEqual({ given: [{ channel: null, values: [112, 8040] }] });
    expect(parse('DAPI=1.5:8e3,CD3:AF488=-2:.5')).toEqual({
      given: [
        { channel: 'DAPI', values: [1.5, 8000] },
        { channel: 'CD3:AF488', values: [-2, 0.5] },
      ],
    });
  });

  it.each(['', 'level=', 'level=x', 'DAPI=1', 'DAPI=1:', '1:2,3:4', 'DAPI=1:2,', 'DAPI=1:1e999'])(
    'is refused with an example: %j',
    (text) => expect(() => parse(text)).toThrow('such as DAPI=112:8040,CD45=90:3000'),
  );
});

it('statistics are taken from a receipt, or from the job that has it', () => {
  const statistics = { level: 0, steps: ['scale_range'], channels: [{ name: 'DAPI', values: [0.1, 7.25] }] };
  const given = { given: [{ channel: 'DAPI', values: [0.1, 7.25] }] };
  expect(statisticsInReceipt(JSON.stringify({ input: 'a.tif', statistics }))).toEqual(given);
  expect(statisticsInReceipt(JSON.stringify({ id: 'job', receipt: { statistics } }))).toEqual(given);
  const ofEachPlane = { statistics: { ...statistics, ofEachPlane: true } };
  expect(() => statisticsInReceipt(JSON.stringify(ofEachPlane))).toThrow(
    /each of whose planes had statistics of its own/,
  );
  for (const other of ['{', '{}', '{"statistics": null}']) expect(statisticsInReceipt(other)).toBeNull();
});
