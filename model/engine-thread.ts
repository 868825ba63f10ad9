import { parentPort, workerData } from 'node:worker_threads';
import { parentThread } from './channel.js';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import type { EngineOptions } from './engine.js';
import type { EngineMethods } from './engine-methods.js';
import { environmentOf } from './environment.js';
import { FrozenModel } from './frozen.js';
import { layersOf } from './layers.js';
import { useOnnxBackend } from './onnx/register.js';
import { type Failure, serve } from './rpc.js';
import { begin } from './ticket.js';
import { Trainer } from './train/trainer.js';

/**
 * The thread that owns a device: ONNX Runtime blocks the thread that calls it, so the backend and the
 * models live here, and only pixels and results cross, transferred.
 */
const options = workerData as EngineOptions;
const backend = await useOnnxBackend({ ...options, maxSessions: 32 });
const models = new Map<number, FrozenModel>();
let nextId = 0;
let trainer: Trainer | null = null;

/** An error of the device, or of what it was given; what has no code failed in the engine itself. */
function failureOf(error: unknown): Failure {
  const { code = 'engine-failed', message } = error as Error & { readonly code?: string };
  return { code, message };
}

function hold(model: FrozenModel): number {
  models.set(nextId, model);
  return nextId++;
}

const methods: EngineMethods = {
  async environment() {
    return environmentOf(options, await backend.block);
  },

  async load(folder) {
    const { model, card, digest } = await loadCheckpoint(folder);
    const frozen = await FrozenModel.of(model, backend);
    return { id: hold(frozen), card, digest, geometry: frozen.geometry };
  },

  async predict({ id, batch, output, symmetries, threshold, ticket }, { transfer }) {
    if (ticket && !begin(ticket)) return new Uint8Array();
    const values = await models.get(id)!.predict(batch, output, symmetries, threshold);
    transfer(values.buffer as ArrayBuffer);
    return values;
  },

  async unload(id) {
    models.get(id)?.dispose();
    models.delete(id);
    await backend.settled();
  },

  async describe(folder) {
    const { model, card } = await loadCheckpoint(folder);
    const layers = layersOf(model);
    model.dispose();
    return { card, layers };
  },

  async train(config) {
    trainer?.dispose();
    trainer = await Trainer.create(config);
    return { geometry: trainer.geometry, parameters: trainer.model.countParams() };
  },

  step: (batch, stepOptions) => trainer!.step(batch, stepOptions),

  async snapshot() {
    return hold(await FrozenModel.of(await trainer!.copy(), backend));
  },

  saveModel: (folder, card) => saveCheckpoint(folder, trainer!.model, card),

  saveState: (path, extra) => trainer!.save(path, extra),

  loadState: (path) => trainer!.load(path),

  async close() {
    for (const model of models.values()) model.dispose();
    await backend.close();
  },
};

serve(parentThread(parentPort!), methods, { failureOf, isSerial: true });
