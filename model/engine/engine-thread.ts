import { parentPort, workerData } from 'node:worker_threads';
import { openDevice, retryDevice } from '../devices/open-device.js';
import { CheckpointError, ModelChoiceError } from '../errors.js';
import { FrozenModel } from '../network/frozen.js';
import type { TileModel } from '../network/tile-model.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { Calibrator } from '../quantisation/calibrator.js';
import { loadCheckpoint, saveCheckpoint } from '../shelf/checkpoint.js';
import { Trainer } from '../train/trainer.js';
import { parentThread } from './channel.js';
import type { EngineMethods, LaneData } from './engine-methods.js';
import { type Failure, serve } from './rpc.js';
import { startRuntime } from './start-runtime.js';
import { begin } from './ticket.js';

/**
 * A lane of a device: a runtime blocks the thread that calls it, so it and its models live here, and only pixels and
 * results cross, transferred.
 */
const options = workerData as LaneData;
const runtime = await startRuntime(options);
const models = new Map<number, FrozenModel>();
let trainer: Trainer | null = null;
let calibrator: Calibrator | null = null;

/** An error of the device, or of what it was given; what has no code failed in the engine itself. */
function failureOf(error: unknown): Failure {
  const { code = 'engine-failed', message } = error as Error & { readonly code?: string };
  return { code, message };
}

/** Runs `work` with the network of a folder, and what records it as ONNX. */
async function withNetwork<Result>(
  folder: string,
  work: (network: TileModel, backend: OnnxBackend) => Promise<Result>,
): Promise<Result> {
  if (runtime.bytes === null)
    throw new ModelChoiceError('networks are exported on --engine onnx: choose that');
  const { network, ranges } = await loadCheckpoint(folder);
  try {
    if (ranges === null) return await work(network, runtime.bytes);
    throw new ModelChoiceError('quantised versions are not exported: choose the version without -int8');
  } finally {
    network.dispose();
    await runtime.settled();
  }
}

const methods: EngineMethods = {
  async environment() {
    return openDevice(options, runtime);
  },

  tryAgain: () => retryDevice(options, runtime),

  async load(id, folder, expected) {
    const { network, card, ranges, digest } = await loadCheckpoint(folder);
    if (expected !== null && digest !== expected) {
      network.dispose();
      throw new CheckpointError(`${folder} was replaced while it was in use: it is another network now`);
    }
    const frozen = await FrozenModel.of(network, runtime, ranges);
    models.set(id, frozen);
    return { card, digest, geometry: frozen.geometry };
  },

  async predict({ id, batch, output, symmetries, threshold, threads, ticket }, { transfer }) {
    if (ticket && !begin(ticket)) return new Uint8Array();
    runtime.threads = threads;
    const values = await models.get(id)!.predict(batch, output, symmetries, threshold);
    transfer(values.buffer as ArrayBuffer);
    return values;
  },

  async release(id, use, threads) {
    await models.get(id)?.release(use, threads);
  },

  async unload(id) {
    models.get(id)?.dispose();
    models.delete(id);
    await runtime.settled();
  },

  async describe(folder) {
    const { network, card } = await loadCheckpoint(folder);
    const layers = network.facts;
    network.dispose();
    return { card, layers };
  },

  async inspectOnnx(path, inspection) {
    const { inspectOnnx } = await import('./imported-networks.js');
    return inspectOnnx(path, inspection);
  },

  async importLayers(source) {
    const { inspectLayers } = await import('./imported-networks.js');
    return inspectLayers(source);
  },

  async compute(folder, image) {
    const { computeNetwork } = await import('./imported-networks.js');
    return computeNetwork(folder, image, runtime);
  },

  async exportModel(folder, request) {
    const { exportModel } = await import('../exchange/export-model.js');
    return withNetwork(folder, (network, backend) => exportModel(network, backend, request));
  },

  async exportNetwork(folder) {
    const { exportOnnx } = await import('../exchange/export-onnx.js');
    return withNetwork(folder, (network, backend) =>
      exportOnnx(network, backend, { kind: 'bare', range: null }, network.outputChannels),
    );
  },

  async calibrate(folder) {
    calibrator?.dispose();
    const { network } = await loadCheckpoint(folder);
    calibrator = await Calibrator.of(network, runtime);
  },

  observe(batch) {
    runtime.threads = options.threads;
    return calibrator!.observe(batch);
  },

  async ranges() {
    const ranges = calibrator!.ranges();
    calibrator!.dispose();
    calibrator = null;
    await runtime.settled();
    return ranges;
  },

  async train(config) {
    trainer?.dispose();
    trainer = null;
    trainer = await Trainer.create(config);
    return { geometry: trainer.geometry, parameters: trainer.model.countParams() };
  },

  step(batch, stepOptions) {
    runtime.threads = options.threads;
    return trainer!.step(batch, stepOptions);
  },

  async snapshot(id) {
    models.set(id, await FrozenModel.ofLayers(await trainer!.copy(), runtime));
  },

  saveModel: (folder, card) => saveCheckpoint(folder, trainer!.model, card),

  saveState: (path, extra) => trainer!.save(path, extra),

  loadState: (path) => trainer!.load(path),

  async close() {
    trainer?.dispose();
    for (const model of models.values()) model.dispose();
    await runtime.close();
  },
};

serve(parentThread(parentPort!), methods, { failureOf, isSerial: true });
