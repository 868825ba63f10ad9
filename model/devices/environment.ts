import { readFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { type LaneUse, laneText, threadText } from '../compute-choice.js';
import type { Precision } from './device.js';
import type { EngineKind } from './engine-kind.js';
import { engineVersions, type TensorFlowVersions } from './versions.js';

/** What is known of a GPU. */
export interface GpuFacts {
  readonly name: string;
  /** The version of its driver; null where that is not known. */
  readonly driver: string | null;
  readonly memoryBytes: number | null;
  /** Of NVIDIA's, such as `9.0`: what decides which kernels there are. */
  readonly computeCapability?: string;
}

/** What networks run on, and how it rounds. */
export interface DeviceFacts extends GpuFacts {
  readonly precision: Precision;
}

/**
 * Everything but a network and its input that a result's bits depend on: where any of it differs, the last bits may
 * differ. Plain data, compared as JSON. Lanes and threads are not part of it: the self-test compares those in use.
 */
export interface Environment {
  readonly engine: EngineKind;
  /** ONNX Runtime's execution provider; `cpu` for TensorFlow. */
  readonly provider: string;
  /** The processor's name, as the system reports it. */
  readonly cpu: string;
  /** The widest vector instructions of the processor: `avx512`, `avx2`, `avx`, `sse2`, `sve`, `neon`, or its architecture. */
  readonly instructionSet: string;
  /** Channels in a block of ONNX Runtime's convolutions, as probed; null where it has no blocked operators. */
  readonly channelBlock: number | null;
  /** Where that is a GPU. */
  readonly gpu?: DeviceFacts;
  /** The run of a GPU that cannot be identified: what was found of it is not taken for that of the next run's. */
  readonly run?: string;
  /** Versions of unseam, Node, TensorFlow.js, and ONNX Runtime or TensorFlow. */
  readonly versions: Record<string, string>;
}

/**
 * @param channelBlock see `findBlock`
 * @param tensorflow null where ONNX Runtime runs the networks
 */
export function environmentOf(
  provider: string,
  channelBlock: number | null,
  tensorflow: TensorFlowVersions | null = null,
): Environment {
  const processor = processorOf(readCpuInfo(), { model: cpus()[0]?.model ?? '', arch: arch() });
  const engine = tensorflow ? 'tensorflow' : 'onnx';
  return { engine, provider, ...processor, channelBlock, versions: engineVersions(tensorflow) };
}

/**
 * An environment as receipts and cards state it, with the part of the device that was in use; `device` is such as
 * `cpu (2 lanes of 1 thread): Xeon E5-2690, avx2, blocks of 8`, `tensorflow cpu (2 threads): Xeon E5-2690, avx2` or
 * `cuda:0: NVIDIA H200, driver 580.65.06, fp32`.
 *
 * @param devices names of those that have a process of their own
 */
export function deviceFacts(
  { engine, provider, cpu, instructionSet, channelBlock, gpu, versions }: Environment,
  use: LaneUse,
  devices: readonly string[] = [],
): { device: string; versions: Record<string, string> } {
  if (gpu) {
    return { device: `${devices.join(', ') || provider}: ${gpuText(gpu)}`, versions };
  }
  const blocks = channelBlock === null ? 'no blocks' : `blocks of ${channelBlock}`;
  if (devices.length > 0) {
    return {
      device: `${devices.join(', ')} (${threadText(use.threads)} each): ${cpu}, ${instructionSet}, ${blocks}`,
      versions,
    };
  }
  const [name, details] = engine === 'onnx' ? [provider, `, ${blocks}`] : [`${engine} ${provider}`, ''];
  return { device: `${name} (${laneText(use)}): ${cpu}, ${instructionSet}${details}`, versions };
}

/** The GPU of an environment; or its processor, which has no driver, and the memory of the machine. */
export const computingDevice = ({ gpu, cpu }: Pick<Environment, 'gpu' | 'cpu'>): DeviceFacts =>
  gpu ?? { name: cpu, driver: null, memoryBytes: null, precision: 'fp32' };

/** A GPU as lines for people name it, such as `NVIDIA H200, driver 580.65.06, fp32`. */
export const gpuText = ({ name, driver, precision }: DeviceFacts): string =>
  [name, ...(driver === null ? [] : [`driver ${driver}`]), precision].join(', ');

/** Instruction sets from widest to narrowest: the system's name, and ours. */
const INSTRUCTION_SETS = [
  ['avx512f', 'avx512'],
  ['avx2', 'avx2'],
  ['avx', 'avx'],
  ['sse2', 'sse2'],
  ['sve', 'sve'],
  ['asimd', 'neon'],
] as const;

/**
 * The processor according to Linux's `/proc/cpuinfo`; elsewhere, or where that lacks it, according to Node.
 *
 * @param cpuInfo the text of `/proc/cpuinfo`, empty where there is none
 */
export function processorOf(
  cpuInfo: string,
  fallback: { readonly model: string; readonly arch: string },
): Pick<Environment, 'cpu' | 'instructionSet'> {
  const line = (name: string) => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(cpuInfo)?.[1]?.trim();
  const flags = new Set((line('flags') ?? line('Features') ?? '').split(/\s+/));
  const widest = INSTRUCTION_SETS.find(([flag]) => flags.has(flag))?.[1];
  return {
    cpu: line('model name') || fallback.model.trim() || 'unknown',
    instructionSet: widest ?? (fallback.arch === 'arm64' ? 'neon' : fallback.arch),
  };
}

function readCpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return ''; // not Linux
  }
}
