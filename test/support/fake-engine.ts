import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../model/engine/engine.js';
import type { Trainee } from '../../model/engine/trainee.js';
import type { TileBatch } from '../../model/network/frozen.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import type { Card } from '../../model/shelf/card.js';
import type { TrainingBatch } from '../../model/train/batch.js';
import type { PredictEngine } from '../../server/pipeline/predict.js';

/** A geometry without a halo: the output of a tile has its size. */
export const POINTWISE: TileGeometry = {
  halo: { top: 0, left: 0, bottom: 0, right: 0 },
  padded: { top: 0, left: 0, bottom: 0, right: 0 },
  multiple: 1,
  smallest: 1,
  tileable: true,
};

/** Maps an 8-bit gray value to probabilities by class. */
export type PixelRule = (id: number, value: number) => readonly number[];

/** A network that classifies each gray pixel independently by a rule: the `predict` of an engine, without one. */
export function predictBy(rule: PixelRule, asked: OutputKind[] = []): PredictEngine {
  return {
    provider: 'cpu',
    threads: 1,
    laneThreads: 1,
    hasDevices: false,
    recover: () => null,
    lost: () => null,
    async predict(id: number, { data }: TileBatch, output: OutputKind) {
      asked.push(output);
      const each = Array.from(data, (value) => rule(id, value));
      if (output === 'probabilities') return Float32Array.from(each.flat());
      return Uint8Array.from(each, (p) => p.indexOf(Math.max(...p)));
    },
  };
}

/**
 * An engine that trains nothing: its predictions after `n` epochs follow rule `n`. The batches of
 * its steps are recorded in `seen`.
 */
export function scriptedEngine(rule: PixelRule, seen: TrainingBatch[] = []): Engine {
  let epoch = 0;
  const trainee: Pick<Trainee, 'facts' | 'step' | 'snapshot' | 'saveModel' | 'saveState' | 'loadState'> = {
    facts: { geometry: POINTWISE, parameters: 1 },
    async step(batch) {
      seen.push(batch);
      return 0.5;
    },
    snapshot: async () => ++epoch,
    async saveModel(folder, card) {
      await mkdir(folder, { recursive: true });
      const saved: Card = { ...card, weights: { sha256: String(epoch), bytes: 1 } };
      await writeFile(join(folder, 'card.json'), JSON.stringify(saved));
      for (const name of ['model.json', 'weights.bin']) await writeFile(join(folder, name), String(epoch));
      return saved;
    },
    saveState: (path, extra) => writeFile(path, JSON.stringify(extra)),
    loadState: async (path) => JSON.parse(await readFile(path, 'utf8')),
  };
  return {
    ...predictBy(rule),
    environment: async () => {
      return {
        engine: 'onnx',
        provider: 'none',
        cpu: '',
        instructionSet: '',
        channelBlock: null,
        versions: {},
      };
    },
    train: async () => trainee,
    load: async (folder: string) => {
      const card = JSON.parse(await readFile(join(folder, 'card.json'), 'utf8')) as Card;
      return { id: Number(card.weights.sha256), card, geometry: POINTWISE, exact: true };
    },
    unload: async () => {},
  } as unknown as Engine;
}
