import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../model/engine.js';
import type { OutputKind } from '../../../model/output-kind.js';
import { countLabels, LabelCodec } from '../../../server/training/data/labels.js';
import { predictions } from '../../../server/training/evaluate.js';
import type { Rect } from '../../../tiling/geometry.js';
import type { ImageSource } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { POINTWISE, predictBy } from '../../support/fake-engine.js';

const [width, height] = [16, 4000];
/** Gray values, which are class indices. */
const values = Uint8Array.from({ length: width * height }, (_, at) => (at * 7) % 3);
const raster = { data: values, width, height, channels: 1 };
const counts = new Map<number, number>();
countLabels(raster, counts);
const codec = new LabelCodec({ classes: 3, ignore: null, legend: null }, counts);

/** A source that records its reads. */
function watched(reads: Rect[]): ImageSource {
  const source = memorySource(raster);
  return {
    ...source,
    readRegion(rect, signal) {
      reads.push(rect);
      return source.readRegion(rect, signal);
    },
  };
}

describe('validation', () => {
  it('requests only labels if no score needs probabilities, and reads the ground truth by bands', async () => {
    const reads: Rect[] = [];
    const asked: OutputKind[] = [];
    const rule = (_id: number, value: number) => [0, 1, 2].map((c) => (c === value ? 0.8 : 0.1));
    const pair = { stem: 'long', image: memorySource(raster), labels: watched(reads) };
    const options = {
      engine: { ...predictBy(rule, asked), environment: async () => ({ engine: 'onnx' }) } as Engine,
      model: { id: 0, geometry: POINTWISE },
      classes: 3,
      signal: new AbortController().signal,
    };
    for await (const _ of predictions([pair], { codec }, options)) void _;
    expect(new Set(asked)).toEqual(new Set(['labels']));
    expect(Math.max(...reads.map((rect) => rect.height))).toBeLessThan(height / 2);
  });
});
