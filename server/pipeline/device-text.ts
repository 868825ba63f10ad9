import { type ComputeChoice, type LaneUse, laneText } from '../../model/compute-choice.js';
import { type DeviceFacts, gpuText } from '../../model/devices/environment.js';
import type { EngineRequest } from '../../model/engine/open-engine.js';
import type { GraphUse, TilingOutcome } from '../../model/exactness/self-test.js';
import { formatBytes } from '../contract/byte-size.js';

/** A device in a line for people, such as `NVIDIA H200, driver 580.65.06, fp32, 150.0 GB, compute capability 9.0`. */
export function deviceText(facts: DeviceFacts): string {
  const { memoryBytes, computeCapability } = facts;
  const memory = memoryBytes === null ? [] : [formatBytes(memoryBytes)];
  const capability = computeCapability === undefined ? [] : [`compute capability ${computeCapability}`];
  return [gpuText(facts), ...memory, ...capability].join(', ');
}

/** Libraries in a line for people. */
export const versionsText = (versions: Readonly<Record<string, string>>): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');

/** How nearly tiles equal one pass over the whole image. */
export function outcomeText({ exact, largestDifference }: TilingOutcome): string {
  if (exact) return 'exact';
  return largestDifference === null ? 'one tile' : `within ${Number(largestDifference.toPrecision(2))}`;
}

/** That the tiles of a model are compared with the whole on devices, which takes a while. */
export const testText = (
  model: string,
  { output, symmetries }: Pick<GraphUse, 'output' | 'symmetries'>,
  devices: readonly string[],
): string => `testing ${model} on ${devices.join(', ')}: ${output}${symmetries ? ' over symmetries' : ''}`;

/** How a model is computed, as it was measured; the tile is the side of its output in px. */
export const tuningText = ({ tile, pixelsPerSecond, ...use }: TunedSpeed): string =>
  `${tile} px, ${laneText(use)}, ${(pixelsPerSecond / 1e6).toFixed(2)} Mpx/s`;

type TunedSpeed = LaneUse & Pick<ComputeChoice, 'tile'> & { readonly pixelsPerSecond: number };

/**
 * What was requested, and is not used on what `auto` has chosen; null for nothing.
 * @param isGpu what it has chosen
 */
export function unusedText(
  { precision = 'fp32', cpuOptions = [] }: Pick<EngineRequest, 'precision' | 'cpuOptions'>,
  isGpu: boolean,
): string | null {
  if (isGpu)
    return cpuOptions.length === 0 ? null : `${cpuOptions.join(' and ')}: for the CPU, and a GPU is used`;
  return precision === 'fp32' ? null : `the CPU computes in fp32, not in ${precision}`;
}
