import { workerData } from 'node:worker_threads';
import type { Card } from './card.js';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import { FrozenModel, type OutputKind, selfTest, type TileBatch } from './frozen.js';
import { tileGeometryOf } from './geometry.js';
import { useOnnxBackend } from './onnx/register.js';
import { type Reply, serveCalls } from './rpc.js';
import { Trainer, type TrainerConfig, type TrainingBatch } from './train/trainer.js';

/**
 * The thread that owns a device: ONNX Runtime blocks the thread that calls it, so the backend and the
 * models live here, and only pixels and results cross, transferred.
 */
const backend = await useOnnxBackend({
  ...(workerData as { provider: string; threads: number }),
  maxSessions: 32,
});
const models = new Map<number, FrozenModel>();
let next = 0;
let trainer: Trainer | null = null;

serveCalls({
  async load({ folder }: { folder: string }): Promise<Reply> {
    const { model, card } = await loadCheckpoint(folder);
    const geometry = tileGeometryOf(model);
    const frozen = await FrozenModel.of(model, backend);
    const exact = await selfTest(frozen, geometry, card.inputChannels);
    models.set(next, frozen);
    return { value: { id: next++, card, geometry, exact } };
  },

  async predict(call: { id: number; batch: TileBatch; output: OutputKind }): Promise<Reply> {
    const value = await models.get(call.id)!.predict(call.batch, call.output);
    return { value, transfer: [value.buffer as ArrayBuffer] };
  },

  async unload({ id }: { id: number }): Promise<Reply> {
    models.get(id)?.dispose();
    models.delete(id);
    await backend.settled();
    return { value: null };
  },

  async train(config: TrainerConfig): Promise<Reply> {
    trainer = new Trainer(config);
    return { value: { geometry: tileGeometryOf(trainer.model), parameters: trainer.model.countParams() } };
  },

  async step(batch: TrainingBatch): Promise<Reply> {
    return { value: await trainer!.step(batch) };
  },

  /** Freezes a copy of the network as it stands, to be validated as it would be served. */
  async snapshot(): Promise<Reply> {
    models.set(next, await FrozenModel.of(await trainer!.copy(), backend));
    return { value: next++ };
  },

  async save({ folder, card }: { folder: string; card: Omit<Card, 'weights'> }): Promise<Reply> {
    return { value: await saveCheckpoint(folder, trainer!.model, card) };
  },

  async close(): Promise<Reply> {
    for (const model of models.values()) model.dispose();
    await backend.close();
    return { value: null };
  },
});
