import { expect, it } from 'vitest';
import type { EngineModel } from '../../../model/engine/engine.js';
import type { Card } from '../../../model/shelf/card.js';
import type { FoundModel } from '../../../model/shelf/shelf.js';
import { LoadedModels } from '../../../server/pipeline/loaded-models.js';

/** Two bytes of weights take four loaded ones. */
const cardOf = (sha256: string) => ({ weights: { sha256, bytes: 2 } }) as unknown as Card;

/** A shelf whose folders hold the networks of `weights`, and an engine that numbers what it loads. */
function modelsOf(weights: Record<string, string>, maxBytes: number) {
  const loaded: string[] = [];
  const unloaded: number[] = [];
  const shelf = {
    find: async (folder = '') => ({ folder, card: cardOf(weights[folder]!) }) as unknown as FoundModel,
  };
  const engine = {
    async load(folder: string) {
      loaded.push(`${folder} ${weights[folder]}`);
      return { id: loaded.length - 1, card: cardOf(weights[folder]!) } as unknown as EngineModel;
    },
    unload: async (id: number) => void unloaded.push(id),
  };
  const models = new LoadedModels(shelf, engine, maxBytes);
  return {
    loaded,
    unloaded,
    models,
    idOf: (name: string) => models.use(name, async (m) => (await models.load(m)).id),
  };
}

it('a model is loaded once, and evicted when others need its memory', async () => {
  const { loaded, unloaded, idOf } = modelsOf({ a: 'x', b: 'y', c: 'z' }, 8);
  expect([await idOf('a'), await idOf('b'), await idOf('a')]).toEqual([0, 1, 0]);
  expect(await idOf('c')).toBe(2);
  expect({ loaded, unloaded }).toEqual({ loaded: ['a x', 'b y', 'c z'], unloaded: [1] });
});

it('a model stays loaded while it is held, whether or not whoever loaded it uses it still', async () => {
  const { models, unloaded, idOf } = modelsOf({ a: 'x', b: 'y' }, 4);
  let release = () => {};
  const held = await models.use('a', async (found) => {
    await models.load(found);
    return { until: models.hold(found, () => new Promise<void>((resolve) => (release = resolve))) };
  });
  await idOf('b');
  expect(unloaded).toEqual([]);
  release();
  await held.until;
  await idOf('b');
  expect(unloaded).toEqual([0]);
});

it('a version that was removed and made anew is loaded anew', async () => {
  const weights: Record<string, string> = { 'net/1-int8': 'before' };
  const { loaded, idOf } = modelsOf(weights, 4);
  expect(await idOf('net/1-int8')).toBe(0);
  weights['net/1-int8'] = 'after';
  expect([await idOf('net/1-int8'), await idOf('net/1-int8')]).toEqual([1, 1]);
  expect(loaded).toEqual(['net/1-int8 before', 'net/1-int8 after']);
});
