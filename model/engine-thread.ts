import { workerData } from 'node:worker_threads';
import type { Card } from './card.js';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import type { EngineOptions } from './engine.js';
import { environmentOf } from './environment.js';
import { FrozenModel, type TileBatch } from './frozen.js';
import { layersOf } from './layers.js';
import { useOnnxBackend } from './onnx/register.js';
import type { OutputKind } from './output-kind.js';
import { type Reply, serveCalls } from './rpc.js';
import { begin, type Ticket } from './ticket.js';
import { type StepOptions, Trainer, type TrainerConfig, type TrainingBatch } from './train/trainer.js';

/**
 * The thread that owns a device: ONNX Runtime blocks the thread that calls it, so the backend and the
 * models live here, and only pixels and results cross, transferred.
 */
const options = workerData as EngineOptions;
const backend = await useOnnxBackend({ ...options, maxSessions: 32 });
const models = new Map<number, FrozenModel>();
let next = 0;
let trainer: Trainer | null = null;

interface PredictCall {
  readonly id: number;
  readonly batch: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  readonly ticket: Ticket | null;
}

serveCalls({
  async environment(): Promise<Reply> {
    return { value: environmentOf(options, await backend.block) };
  },

  async load({ folder }: { folder: string }): Promise<Reply> {
    const { model, card, digest } = await loadCheckpoint(folder);
    const frozen = await FrozenModel.of(model, backend);
    models.set(next, frozen);
    return { value: { id: next++, card, digest, geometry: frozen.geometry } };
  },

  async predict({ id, batch, output, symmetries, threshold, ticket }: PredictCall): Promise<Reply> {
    if (ticket && !begin(ticket)) return { value: new Uint8Array() };
    const value = await models.get(id)!.predict(batch, output, symmetries, threshold);
    return { value, transfer: [value.buffer as ArrayBuffer] };
  },

  async unload({ id }: { id: number }): Promise<Reply> {
    models.get(id)?.dispose();
    models.delete(id);
    await backend.settled();
    return { value: null };
  },

  async train(config: TrainerConfig): Promise<Reply> {
    trainer?.dispose();
    trainer = await Trainer.create(config);
    return { value: { geometry: trainer.geometry, parameters: trainer.model.countParams() } };
  },

  async step({ batch, options }: { batch: TrainingBatch; options: StepOptions }): Promise<Reply> {
    return { value: await trainer!.step(batch, options) };
  },

  /** Freezes a copy of the network as it stands, to be validated as it would be served. */
  async snapshot(): Promise<Reply> {
    models.set(next, await FrozenModel.of(await trainer!.copy(), backend));
    return { value: next++ };
  },

  async saveModel({ folder, card }: { folder: string; card: Omit<Card, 'weights'> }): Promise<Reply> {
    return { value: await saveCheckpoint(folder, trainer!.model, card) };
  },

  async saveState({ path, extra }: { path: string; extra: unknown }): Promise<Reply> {
    await trainer!.save(path, extra);
    return { value: null };
  },

  async loadState({ path }: { path: string }): Promise<Reply> {
    return { value: await trainer!.load(path) };
  },

  async describe({ folder }: { folder: string }): Promise<Reply> {
    const { model, card } = await loadCheckpoint(folder);
    const layers = layersOf(model);
    model.dispose();
    return { value: { card, layers } };
  },

  async close(): Promise<Reply> {
    for (const model of models.values()) model.dispose();
    await backend.close();
    return { value: null };
  },
});
