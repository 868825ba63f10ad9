import { resolve } from 'node:path';
import { nameOfDevices, OWN_CPU } from '../../model/devices/device.js';
import type { EngineRequest } from '../../model/engine/open-engine.js';
import { DeviceUnavailableError } from '../../model/errors.js';
import {
  findTensorFlow,
  setUpCommand,
  type TensorFlowInstallation,
} from '../../model/tensorflow/installation.js';
import { DEFAULTS } from '../config.js';
import { RequestError } from '../contract/errors.js';
import type { BatchFlags, CacheDirFlags, CpuFlags, EngineFlags } from './options.js';

/**
 * The engine that a command's flags describe.
 * @throws RequestError for more lanes than threads, for lanes of devices, and for what the engine or the device does not have
 * @throws DeviceUnavailableError for an engine that is not set up
 */
export function engineOf(flags: Omit<EngineFlags, 'models'> & BatchFlags): EngineRequest {
  const { device = 'auto', precision, lanes, cacheDir, dumpGraphs, profileGraphs } = flags;
  const { threads = DEFAULTS.threads } = flags;
  if (flags.engine === 'tensorflow') return tensorFlowOf(flags);
  if (lanes !== undefined && lanes > threads) {
    throw new RequestError(
      'bad-request',
      `--lanes ${lanes}: ${threads} threads have at most ${threads} lanes`,
    );
  }
  const diagnostics = {
    ...(dumpGraphs !== undefined && { graphsDir: resolve(dumpGraphs) }),
    ...(profileGraphs !== undefined && { profileDir: resolve(profileGraphs) }),
  };
  if (precision !== 'fp32' && device !== 'auto' && device.provider === 'cpu') {
    throw new RequestError('bad-request', `--precision ${precision} is for GPUs: the CPU computes in fp32`);
  }
  if (precision === 'tf32' && device !== 'auto' && device.provider === 'webgpu') {
    throw new RequestError('bad-request', '--precision tf32: WebGPU has fp32 and fp16');
  }
  const common = { diagnostics, precision, ...(cacheDir !== null && { cudaFolder: cudaFolderOf(cacheDir) }) };
  const own = { ...common, threads, ...(lanes !== undefined && { lanes }) };
  if (device === 'auto') return { ...own, provider: 'auto', cpuOptions: cpuOptionsOf(flags) };
  const { provider, indices: devices } = device;
  if (devices.length === 0) return { ...own, provider };
  if (lanes !== undefined) {
    throw new RequestError(
      'bad-request',
      `--lanes ${lanes}: each of several devices, and a GPU, has one lane`,
    );
  }
  if (provider !== 'cpu' && flags.threads !== undefined) {
    throw new RequestError(
      'bad-request',
      `--threads ${threads} is for --device cpu: a GPU uses none of them`,
    );
  }
  return { ...common, provider, devices, threads: provider === 'cpu' ? threads : 1 };
}

/** The options that were given for the CPU, such as `--lanes 2`. */
export const cpuOptionsOf = ({ threads, lanes }: CpuFlags): readonly string[] => [
  ...(threads === undefined ? [] : [`--threads ${threads}`]),
  ...(lanes === undefined ? [] : [`--lanes ${lanes}`]),
];

/** Where `unseam setup cuda` puts its libraries. */
export const cudaFolderOf = (cacheDir: string): string => resolve(cacheDir, 'cuda');

/** The folder of what `unseam setup tensorflow` builds; null for a user without a cache folder. */
export const tensorFlowFolder = ({ cacheDir }: CacheDirFlags): string | null =>
  cacheDir === null ? null : resolve(cacheDir, 'tensorflow');

/** TensorFlow shares its threads between all that it computes, and compiles no graphs that could be written. */
function tensorFlowOf(flags: Omit<EngineFlags, 'models'> & BatchFlags): EngineRequest {
  const { device = 'auto', precision, lanes, batch, dumpGraphs, profileGraphs } = flags;
  const { threads = DEFAULTS.threads } = flags;
  const unknown = {
    '--device': device === 'auto' || device === OWN_CPU ? undefined : nameOfDevices(device),
    '--precision': precision === 'fp32' ? undefined : precision,
    '--lanes': lanes === 1 ? undefined : lanes,
    '--batch': batch === 1 ? undefined : batch,
    '--dump-graphs': dumpGraphs,
    '--profile-graphs': profileGraphs,
  };
  for (const [name, value] of Object.entries(unknown)) {
    if (value !== undefined) throw new RequestError('bad-request', `${name} is for --engine onnx`);
  }
  return { provider: 'cpu', tensorflow: installedTensorFlow(flags), threads, lanes: 1 };
}

/** @throws DeviceUnavailableError where there is none */
function installedTensorFlow(flags: CacheDirFlags): TensorFlowInstallation {
  const folder = tensorFlowFolder(flags);
  const found = findTensorFlow(folder);
  if (found) return found;
  throw new DeviceUnavailableError(
    folder === null
      ? 'no folder has TensorFlow: name it by --cache-dir, or take --engine onnx'
      : `TensorFlow is not set up in ${folder}: run "${setUpCommand(folder)}", or take --engine onnx`,
  );
}
