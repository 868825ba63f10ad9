import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineModel } from '../../../model/engine/engine.js';
import { TilePredictor } from '../../../server/pipeline/predict.js';
import { Tuner } from '../../../server/pipeline/tuner.js';
import { chosenSpeed, type Tuning } from '../../../server/pipeline/tuning.js';
import { testFolder } from '../../support/files.js';

const MODEL = new URL('../../../../models/shapes-notebook/1', import.meta.url).pathname;
const use = { output: 'labels', channels: 1 } as const;
const slide = { width: 20_000, height: 20_000 };
const GIB = 2 ** 30;

let engine: Engine;
let model: EngineModel;
let path: string;
beforeAll(async () => {
  engine = Engine.start({ provider: 'cpu', threads: 2 });
  model = await engine.load(MODEL);
  path = join(await testFolder(), 'tunings.json');
});
afterAll(() => engine.close());

const tunerOf = (more: Partial<ConstructorParameters<typeof Tuner>[1]> = {}) =>
  new Tuner(new TilePredictor(engine), { threads: 2, memory: 4 * GIB, path, ...more });
const signal = new AbortController().signal;

describe('a tuner', () => {
  it('uses the default for small images and plans, and measures nothing', async () => {
    const tuner = tunerOf();
    const small = { size: { width: 500, height: 500 }, signal };
    for (const now of [small, null]) {
      expect(await tuner.choiceFor(model, use, now)).toMatchObject({
        isMeasured: false,
        lanes: 2,
        threads: 1,
      });
    }
    expect(await tuner.known(model)).toBeUndefined();
  });

  it('leaves nothing of a search that was interrupted', async () => {
    const tuner = tunerOf();
    const stop = new AbortController();
    const searching = tuner.choiceFor(model, use, { size: slide, signal: stop.signal });
    stop.abort(new Error('cancelled'));
    await expect(searching).rejects.toThrow('cancelled');
    expect(await tuner.known(model)).toBeUndefined();
  });

  it('measures once for a slide, and remembers the choice in a file, also for small images and plans', async () => {
    const reported: Tuning[] = [];
    const tuner = tunerOf({ onChoice: (_model, tuning) => reported.push(tuning) });
    const now = { size: slide, signal };
    const choices = await Promise.all([tuner.choiceFor(model, use, now), tuner.choiceFor(model, use, now)]);
    expect(choices[0]).toMatchObject({ isMeasured: true });
    expect(choices[1]).toEqual(choices[0]);
    const found = (await tuner.known(model))!;
    expect(found.measurements.length).toBeGreaterThan(0);
    expect(reported).toEqual([found]);
    const fastest = Math.max(...found.measurements.map(({ mpxPerSecond }) => mpxPerSecond));
    expect(chosenSpeed(found)).toBeGreaterThan(0.9 * fastest);
    const next = tunerOf();
    expect(await next.choiceFor(model, use, null)).toEqual(choices[0]);
  });

  it('does not rely on what was measured for other weights, threads or memory', async () => {
    const other = { ...model, digest: 'other' };
    expect(await tunerOf().choiceFor(other, use, null)).toMatchObject({ isMeasured: false });
    expect(await tunerOf({ threads: 4 }).choiceFor(model, use, null)).toMatchObject({ isMeasured: false });
    expect(await tunerOf({ lanes: 1 }).choiceFor(model, use, null)).toMatchObject({
      isMeasured: false,
      lanes: 1,
      threads: 2,
    });
    expect(await tunerOf({ memory: GIB / 2 }).choiceFor(model, use, null)).toMatchObject({
      isMeasured: false,
    });
  });

  it('ignores a damaged file', async () => {
    const damaged = join(await testFolder(), 'tunings.json');
    await cp(path, damaged);
    await writeFile(damaged, (await readFile(damaged, 'utf8')).replace(/"lanes":\d/, '"lanes":"many"'));
    expect(await tunerOf({ path: damaged }).choiceFor(model, use, null)).toMatchObject({ isMeasured: false });
  });
});
