import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Engine, type TestedModel } from '../../../model/engine/engine.js';
import { defaultChoice } from '../../../server/pipeline/default-choice.js';
import { TilePredictor } from '../../../server/pipeline/predict.js';
import { type Predict, type SegmentRequest, segment } from '../../../server/pipeline/segment.js';
import { chooseTile, planTiles, type TileChoice, type TileRule } from '../../../tiling/plan.js';
import { BandJournal } from '../../../tiling/sinks/journal.js';
import { MemorySink } from '../../../tiling/sinks/memory.js';
import { SplitSink } from '../../../tiling/sinks/split.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';

const folder = await testFolder();
const use = { output: 'probabilities', symmetries: false, channels: 1 } as const;
const image = pattern(301, 263);
const size = { width: image.width, height: image.height };
let engine: Engine;
let model: TestedModel;

beforeAll(async () => {
  engine = Engine.start({ provider: 'cpu', threads: 2 });
  const loaded = await engine.load(
    fileURLToPath(new URL('../../../../models/em-membrane/1', import.meta.url)),
  );
  const choice = defaultChoice(loaded.card, engine, { memory: Number.POSITIVE_INFINITY });
  model = { ...loaded, choice, ...(await engine.tested(loaded, use, choice.threads)) };
});
afterAll(() => engine.close());

function request(choice: TileChoice, more: Partial<SegmentRequest> = {}, rule: TileRule = model.geometry) {
  const sink = new MemorySink(size, 2);
  const whole: SegmentRequest = {
    source: memorySource(image),
    plan: planTiles(size, { tile: chooseTile(size, choice, model.geometry), rule }),
    output: 'probabilities',
    classes: 2,
    sink,
    predict: new TilePredictor(engine).for('job', model),
    signal: new AbortController().signal,
    ...more,
  };
  return { whole, sink };
}

async function bits(choice: TileChoice, rule?: TileRule): Promise<Uint32Array> {
  const { whole, sink } = request(choice, {}, rule);
  await segment(whole);
  return new Uint32Array((sink.data as Float32Array).buffer);
}
const differing = (a: Uint32Array, b: Uint32Array) => a.filter((v, i) => v !== b[i]).length;

describe('the pipeline', () => {
  it('is bit-identical to one pass over the whole image, for any tile', async () => {
    const whole = await bits('whole');
    expect(whole.length).toBe(301 * 263 * 2);
    for (const tile of [{ width: 100, height: 148 }, { width: 188, height: 188 }, 'auto'] as const) {
      expect(differing(await bits(tile), whole)).toBe(0);
    }
  });

  it('computes labels and probabilities in one pass, bit-identical to separate runs, also from its journal', async () => {
    const tile = { width: 188, height: 188 };
    const labels = new MemorySink(size, 1);
    await segment({ ...request(tile, { output: 'labels' }).whole, sink: labels });
    const [both, bothLabels] = [new MemorySink(size, 2), new MemorySink(size, 1)];
    const predict = new TilePredictor(engine).for('job', model);
    let predicted = 0;
    const attempt = async (most: number) => {
      const journal = await BandJournal.open(join(folder, 'bands'), 'both');
      const write = vi.spyOn(journal, 'writeBand');
      const more: Partial<SegmentRequest> = {
        output: 'both',
        sink: new SplitSink(2, both, bothLabels),
        journal,
        predict: async (...args) => {
          if (predicted++ < most) return predict(...args);
          await vi.waitFor(() => expect(write).toHaveResolved(), 20_000);
          throw new Error('enough');
        },
      };
      const { whole } = request(tile, more);
      await segment(whole);
      return whole.plan.count;
    };
    await expect(attempt(11)).rejects.toThrow('enough');
    predicted = 0;
    const tiles = await attempt(Number.POSITIVE_INFINITY);
    expect(predicted).toBeGreaterThan(0);
    expect(predicted).toBeLessThan(tiles);
    expect(firstDifference(bothLabels.data!, labels.data!)).toBe(-1);
    expect(differing(new Uint32Array((both.data as Float32Array).buffer), await bits(tile))).toBe(0);
  });

  it('differs if strides are not aligned, so that the comparison can fail', async () => {
    const tile = { width: 188, height: 188 };
    const unaligned = { ...model.geometry, multiple: 1, smallest: 188 };
    expect(differing(await bits(tile, unaligned), await bits('whole'))).toBeGreaterThan(1000);
  });

  it('reports the duration of each stage and the finished tiles', async () => {
    const stages = new Set<string>();
    let pixels = 0;
    const { whole } = request(
      { width: 188, height: 188 },
      {
        onStage: (stage) => stages.add(stage),
        onTile: ({ write }) => (pixels += write.width * write.height),
      },
    );
    await segment(whole);
    expect([...stages].sort()).toEqual(['decode', 'encode', 'infer', 'queue', 'stitch']);
    expect(pixels).toBe(301 * 263);
  });
});

describe('the self-test of a graph', () => {
  it('lets other work run between its steps', async () => {
    const folder = fileURLToPath(new URL('../../../../models/shapes/1', import.meta.url));
    const ended: string[] = [];
    const tested = engine.load(folder).then(async (other) => {
      await engine.tested(other, use);
      ended.push('tested');
    });
    const side = model.geometry.smallest;
    const tile = { data: new Uint8Array(side * side), count: 1, height: side, width: side, channels: 1 };
    const predicted = engine.predict(model.id, tile, 'labels').then(() => ended.push('predicted'));
    await Promise.all([tested, predicted]);
    expect(ended).toEqual(['predicted', 'tested']);
  });
});

describe('on any failure, the pipeline rejects with its error and removes its files', () => {
  const small = { width: 100, height: 100 };
  const broken = new Error('broken');

  it.each<[string, () => Partial<SegmentRequest>]>([
    ['the source', () => ({ source: { ...memorySource(image), readRegion: () => Promise.reject(broken) } })],
    ['the device', () => ({ predict: () => Promise.reject(broken) })],
  ])('%s', async (_name, more) => {
    const { whole, sink } = request(small, more());
    await expect(segment(whole)).rejects.toBe(broken);
    expect(sink.data).toBeNull();
  });

  it('the disk, halfway', async () => {
    const { whole, sink } = request(small);
    let bands = 0;
    const writeBand = sink.writeBand.bind(sink);
    sink.writeBand = (...band) => (++bands === 3 ? Promise.reject(broken) : writeBand(...band));
    await expect(segment(whole)).rejects.toBe(broken);
    expect(sink.data).toBeNull();
  });

  it('a cancellation: no further tile is started', async () => {
    const controller = new AbortController();
    let begun = 0;
    const real = new TilePredictor(engine).for('job', model);
    const predict: Predict = (...call) => {
      if (++begun === 8) controller.abort(broken);
      return real(...call);
    };
    const { whole, sink } = request(small, { predict, signal: controller.signal });
    await expect(segment(whole)).rejects.toBe(broken);
    expect(begun).toBeLessThan(16);
    expect(sink.data).toBeNull();
  });
});
