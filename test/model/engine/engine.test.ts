import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineModel } from '../../../model/engine/engine.js';
import { newTicket, revoke } from '../../../model/engine/ticket.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';

const folder = await testFolder();
const modelOf = (name: string) => fileURLToPath(new URL(`../../../../models/${name}/1`, import.meta.url));
let engine: Engine;
let model: EngineModel;

beforeAll(async () => {
  engine = Engine.start({ provider: 'cpu', threads: 3 });
  model = await engine.load(modelOf('em-membrane'));
});
afterAll(() => engine.close());

/** A textured tile; new each time, since it is transferred. */
const tile = (): TileBatch => {
  return { ...pattern(212, 188), count: 1 };
};

describe('a lane', () => {
  it('computes the same bits as every other one, with any number of threads', async () => {
    const bits = async (lane: number, threads: number) => {
      const values = await engine.predict(model.id, tile(), 'probabilities', { lane, threads });
      return new Uint32Array((values as Float32Array).buffer);
    };
    const expected = await bits(0, 3);
    const places = [
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
      [2, 1],
    ] as const;
    const all = await Promise.all(places.map(([lane, threads]) => bits(lane, threads)));
    expect(all.map((found) => firstDifference(found, expected))).toEqual(places.map(() => -1));
  });

  it('computes no batch whose ticket was revoked', async () => {
    const ticket = newTicket();
    const running = engine.predict(model.id, tile(), 'labels', { lane: 1 });
    const ready = engine.predict(model.id, tile(), 'labels', { lane: 1, ticket });
    expect(revoke(ticket)).toBe(true);
    expect([(await running).length, (await ready).length]).toEqual([124 * 100, 0]);
  });

  it('refuses a model that was replaced since another lane loaded it', async () => {
    const own = join(folder, 'net');
    await cp(modelOf('shapes'), own, { recursive: true });
    const { id } = await engine.load(own);
    await rm(own, { recursive: true });
    await cp(modelOf('em-membrane'), own, { recursive: true });
    const predicted = (lane: number) => engine.predict(id, tile(), 'labels', { lane });
    await expect(predicted(1)).rejects.toMatchObject({ code: 'bad-checkpoint' });
    expect((await predicted(0)).length).toBe(124 * 100);
    await rm(own, { recursive: true });
    await cp(modelOf('shapes'), own, { recursive: true });
    expect((await predicted(1)).length).toBe(124 * 100);
  });

  it('has nothing of a model that was unloaded', async () => {
    const { id } = await engine.load(modelOf('shapes'));
    engine.prepare(id, 2);
    await engine.unload(id);
    for (const lane of [0, 1]) {
      await expect(engine.predict(id, tile(), 'labels', { lane })).rejects.toMatchObject({
        code: 'engine-failed',
      });
    }
  });
});
