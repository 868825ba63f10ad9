import { describe, expect, it } from 'vitest';
import { checkStackPixels, isStack, parsePlaneRanges, planesOf, rangesOf } from '../../tiling/planes.js';

describe('planes of a stack', () => {
  it('are chosen by lists of indices and ranges, which ascend', () => {
    expect(parsePlaneRanges('all')).toBe('all');
    expect(parsePlaneRanges('0-4')).toEqual([[0, 4]]);
    expect(parsePlaneRanges('0,2,5-7')).toEqual([
      [0, 0],
      [2, 2],
      [5, 7],
    ]);
    for (const text of ['', '4-0', '3,3', '5,2', '0-2,2-4', '-1', 'every', '1e3', '0 - 4']) {
      expect(parsePlaneRanges(text), text).toBeNull();
    }
  });

  it('come time by time, each from its first plane in depth', () => {
    const chosen = planesOf({ z: [[1, 2]], t: 'all' }, { sizeZ: 4, sizeT: 2 });
    expect(chosen).toEqual({
      sizeZ: 2,
      sizeT: 2,
      planes: [
        { z: 1, t: 0 },
        { z: 2, t: 0 },
        { z: 1, t: 1 },
        { z: 2, t: 1 },
      ],
    });
    expect(rangesOf(chosen)).toEqual({ z: '1-2', t: '0-1' });
  });

  it('are stated as they are parsed', () => {
    const text = '0,2,5-7';
    const chosen = planesOf({ z: parsePlaneRanges(text)!, t: 3 }, { sizeZ: 9, sizeT: 4 });
    expect(rangesOf(chosen)).toEqual({ z: text, t: '3' });
  });

  it('are refused where the image has none of that index, by their number', () => {
    expect(() => planesOf({ z: [[0, 5]] }, { sizeZ: 5, sizeT: 1 })).toThrow(
      'there is no plane z 5: the image has 5, from 0',
    );
    expect(() => planesOf({ t: 1 })).toThrow('there is no time t 1: the image has 1, from 0');
  });

  it('are at most those of one job', () => {
    expect(() => planesOf({ z: 'all', t: 'all' }, { sizeZ: 1000, sizeT: 1000 })).toThrow(
      '1000000 planes are too many for one job: at most 65536',
    );
  });

  it('count with all of their pixels', () => {
    expect(() => checkStackPixels({ width: 10, height: 10 }, 10, 1000)).not.toThrow();
    expect(() => checkStackPixels({ width: 10, height: 10 }, 11, 1000)).toThrow(
      'the image claims 10 × 10 px in each of 11 planes; the limit is 1000 px in all',
    );
  });

  it('are a stack where several are requested, even if there is one', () => {
    expect([{}, { z: 3 }, { z: 3, t: 1 }].map(isStack)).toEqual([false, false, false]);
    expect([{ z: 'all' }, { t: [[2, 2]] }, { z: 1, t: 'all' }].map((c) => isStack(c as never))).toEqual([
      true,
      true,
      true,
    ]);
  });
});
