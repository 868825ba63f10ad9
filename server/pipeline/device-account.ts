import { computingDevice, type DeviceFacts } from '../../model/devices/environment.js';
import type { GraphUse, TilingOutcome } from '../../model/exactness/self-test.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { channelConversion } from '../../model/network/pixels.js';
import { type Card, scaledOf } from '../../model/shelf/card.js';
import { NEVER } from '../storage/until-aborted.js';
import type { ModelHost } from './model-host.js';
import type { Tuning } from './tuning.js';

/** One graph of a model, and how nearly its tiles equal one pass over the whole image. */
export interface GraphAccount {
  readonly output: OutputKind;
  readonly symmetries: boolean;
  /** Null where it was not tested. */
  readonly tiling: TilingOutcome | null;
}

/** What is known of a model on a device. */
export interface ModelAccount {
  readonly model: string;
  readonly version: Card['version'];
  /** None where it cannot be used. */
  readonly graphs: readonly GraphAccount[];
  /** Null where it was not measured. */
  readonly tuning: Tuning | null;
  /** Why it cannot be used on the device; null where it can. */
  readonly failure: string | null;
}

/** What is known of a device that works. */
export interface DeviceAccount extends DeviceFacts {
  readonly versions: Readonly<Record<string, string>>;
  readonly models: readonly ModelAccount[];
}

/** The graphs that accounts list; each output is a graph of its own, and so is its mean over symmetries. */
const GRAPHS = (['labels', 'probabilities'] as const).flatMap((output) =>
  [false, true].map((symmetries) => ({ output, symmetries })),
);

/**
 * What is known of a host's devices, and of models there.
 * @param names of models, such as `shapes` or `shapes/1`
 * @param test called with a model and its graph before it is tested; null to test nothing, and state what was found before
 */
export async function deviceAccount(
  host: ModelHost,
  names: readonly string[],
  test: ((model: string, graph: Pick<GraphUse, 'output' | 'symmetries'>) => void) | null,
): Promise<DeviceAccount> {
  const environment = await host.environment();
  const models: ModelAccount[] = [];
  for (const name of names) models.push(await modelAccount(host, name, test));
  return { ...computingDevice(environment), versions: environment.versions, models };
}

function modelAccount(
  host: ModelHost,
  name: string,
  test: Parameters<typeof deviceAccount>[2],
): Promise<ModelAccount> {
  return host.use(name, async (found) => {
    const { card } = found;
    const outcomeOf = async (use: GraphUse): Promise<TilingOutcome | null> => {
      const known =
        (await host.knownTiling(found, { ...use, isOfBytes: true })) ?? (await host.knownTiling(found, use));
      if (known || test === null) return known ?? null;
      test(name, use);
      const { exact, largestDifference } = await host.tested(found, { ...use, isOfBytes: true }, null, NEVER);
      return { exact, largestDifference };
    };
    /** Of gray and of RGB images where the model takes both: what differs in one of them is stated. */
    const tilingOf = async (graph: (typeof GRAPHS)[number]): Promise<TilingOutcome | null> => {
      const outcomes: TilingOutcome[] = [];
      for (const channels of channelsFor(card)) {
        const outcome = await outcomeOf({ ...graph, channels, ...scaledOf(card) });
        if (outcome) outcomes.push(outcome);
      }
      return outcomes.length === 0 ? null : worstOf(outcomes);
    };
    const identity = { model: card.name, version: card.version };
    try {
      const graphs: GraphAccount[] = [];
      for (const graph of GRAPHS) {
        graphs.push({ ...graph, tiling: await tilingOf(graph) });
      }
      return { ...identity, graphs, tuning: (await host.tuningOf(name)) ?? null, failure: null };
    } catch (error) {
      return { ...identity, graphs: [], tuning: null, failure: (error as Error).message };
    }
  });
}

/** The outcome of which all can be said. */
function worstOf(outcomes: readonly TilingOutcome[]): TilingOutcome {
  const differences = outcomes.map(({ largestDifference }) => largestDifference);
  return {
    exact: outcomes.every(({ exact }) => exact),
    largestDifference: differences.includes(null) ? null : Math.max(...(differences as number[])),
  };
}

/** The numbers of channels of images that a model takes: gray and RGB, which are converted, or its own. */
function channelsFor({ inputChannels, channels }: Card): readonly number[] {
  if (channels || (inputChannels !== 1 && inputChannels !== 3)) return [inputChannels];
  return [1, 3].filter((each) => channelConversion(each, inputChannels) !== null);
}
