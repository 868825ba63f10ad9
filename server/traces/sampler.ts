/**
 * Decides whether a trace is recorded.
 * @param isSampled whether the caller records it; null without a caller
 */
export type Sampler = (traceId: string, isSampled: boolean | null) => boolean;

const SAMPLERS = {
  always_on: () => () => true,
  always_off: () => () => false,
  traceidratio: (ratio: number) => byRatio(ratio),
  parentbased_always_on: () => (_id, isSampled) => isSampled ?? true,
  parentbased_always_off: () => (_id, isSampled) => isSampled ?? false,
  parentbased_traceidratio: (ratio: number) => (id, isSampled) => isSampled ?? byRatio(ratio)(id, null),
} as const satisfies Record<string, (ratio: number) => Sampler>;

export type SamplerName = keyof typeof SAMPLERS;
export const SAMPLER_NAMES = Object.keys(SAMPLERS) as SamplerName[];

/**
 * The samplers of OpenTelemetry.
 * @param ratio the part of the traces that a `traceidratio` records, from 0 to 1
 */
export const samplerOf = (name: SamplerName, ratio: number): Sampler => SAMPLERS[name](ratio);

/** Takes the last 56 bits of an id for a random number, as OpenTelemetry does: all servers decide alike. */
function byRatio(ratio: number): Sampler {
  const bound = BigInt(Math.round(ratio * 2 ** 56));
  return (traceId) => BigInt(`0x${traceId.slice(-14)}`) < bound;
}
