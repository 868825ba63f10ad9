import { describe, expect, it, vi } from 'vitest';
import type { Engine } from '../../../model/engine/engine.js';
import { EngineLostError } from '../../../model/errors.js';
import type { OutputKind } from '../../../model/network/output-kind.js';
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

describe('a device that hangs in an evaluation', () => {
  it('is ended after a minute, and its tiles are computed when it is back', async () => {
    vi.useFakeTimers();
    const computing = predictBy((_id, value) => [0, 1, 2].map((c) => (c === value ? 0.8 : 0.1)));
    const ended: string[] = [];
    let hang = (_lost: Error) => {};
    const hung = new Promise<never>((_, reject) => (hang = reject));
    let batches = 0;
    const engine = {
      ...computing,
      hasDevices: true,
      recover: () => Promise.resolve(),
      environment: async () => ({ engine: 'onnx' }),
      predict: (...args: Parameters<Engine['predict']>) =>
        batches++ === 0 ? hung : computing.predict(...args),
      endDevice: async (lane: number, reason: string) => {
        ended.push(`${lane}: ${reason}`);
        hang(new EngineLostError('cuda:0: it hung'));
      },
    } as unknown as Engine;
    const pair = { stem: 'long', image: memorySource(raster), labels: memorySource(raster) };
    const found = predictions(
      [pair],
      { codec },
      { engine, model: { id: 0, geometry: POINTWISE }, classes: 3 },
    );
    try {
      const first = found.next();
      await vi.advanceTimersByTimeAsync(59_000);
      expect(ended).toEqual([]);
      await vi.advanceTimersByTimeAsync(5000);
      expect(ended).toEqual(['0: a batch took longer than 60 s: it hung']);
      const { value } = await first;
      expect(value?.pair).toBe(pair);
      await found.return(undefined);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
