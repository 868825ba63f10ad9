import type { OptimizerConfig } from './choices.js';
import { BETA1, BETA2, type ParameterState, type UpdateRule, update } from './update.js';
import { UpdateClient } from './update-client.js';

const EPSILON = 1e-8;

export interface UpdateOptions {
  readonly learningRate: number;
  /** By which gradients are multiplied, such as 1/4 for the sums of four batches. Default 1. */
  readonly scale?: number;
}

/**
 * SGD with momentum, Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019); each step has its own
 * learning rate.
 *
 * Weights and moments are plain arrays, updated in one pass over them. With a second thread, about half of them are
 * transferred there and back: `apply` returns the arrays that hold the weights from then on. As operators of a graph the
 * update takes a dozen passes, and its results would be copied out of the graph and back into it at each step. The
 * powers of Adam's betas follow from the number of steps, so that the slots and `steps` are the complete state.
 */
export class Optimizer {
  /** Steps taken so far. */
  steps = 0;
  readonly #slots: Float32Array[];
  /** Updates the arrays that are `#offloaded`; started by the first step. */
  #thread: UpdateClient | null = null;
  /** Indices of arrays, of about half of the weights; none without a second thread. */
  readonly #offloaded: ReadonlySet<number>;

  /**
   * @param lengths of the arrays of weights
   * @param usesSecondThread whether a second thread updates half of the weights. The results are the same
   */
  constructor(
    private readonly config: OptimizerConfig,
    lengths: readonly number[],
    usesSecondThread = false,
  ) {
    const perArray = config.kind === 'sgd' ? 1 : 2;
    this.#slots = Array.from({ length: perArray }, () => lengths.map((n) => new Float32Array(n))).flat();
    this.#offloaded = usesSecondThread ? halfOf(lengths) : new Set();
  }

  /** Momenta of each array of weights; or the first moments of all, and then the second. A step may replace them. */
  get slots(): readonly Float32Array[] {
    return this.#slots;
  }

  /**
   * Updates weights by gradients of the same order and lengths. Consumes both: they must not be used afterwards, and must
   * not share buffers with other arrays.
   * @returns the updated weights
   */
  async apply(
    weights: readonly Float32Array[],
    gradients: readonly Float32Array[],
    { learningRate, scale = 1 }: UpdateOptions,
  ): Promise<readonly Float32Array[]> {
    this.steps++;
    const rule = this.#rule(learningRate, scale * this.#clipping(gradients, scale));
    const parameters = weights.map((w, i): ParameterState => {
      const slots = this.#slots.filter((_, at) => at % weights.length === i);
      return { weights: w, gradient: gradients[i]!, slots };
    });
    const offloaded = [...this.#offloaded];
    const pending = this.#offload(
      offloaded.map((i) => parameters[i]!),
      rule,
    );
    for (const [i, each] of parameters.entries()) if (!this.#offloaded.has(i)) update(each, rule);
    for (const [at, each] of (await pending).entries()) {
      const i = offloaded[at]!;
      parameters[i] = each;
      for (const [slot, values] of each.slots.entries()) this.#slots[slot * weights.length + i] = values;
    }
    return parameters.map((each) => each.weights);
  }

  /** Ends its thread. */
  async close(): Promise<void> {
    await this.#thread?.close();
  }

  /** Has the second thread update parameters, whose arrays are transferred there. */
  async #offload(
    parameters: readonly ParameterState[],
    rule: UpdateRule,
  ): Promise<readonly ParameterState[]> {
    if (parameters.length === 0) return [];
    this.#thread ??= new UpdateClient();
    return this.#thread.update(parameters, rule);
  }

  #rule(learningRate: number, factor: number): UpdateRule {
    const { kind, momentum, weightDecay } = this.config;
    if (kind === 'sgd') return { kind, factor, momentum, rate: learningRate };
    // both bias corrections, in the efficient form at the end of section 2 of the paper
    const correction = Math.sqrt(1 - BETA2 ** this.steps);
    return {
      kind: 'adam',
      factor,
      rate: (learningRate * correction) / (1 - BETA1 ** this.steps),
      epsilon: EPSILON * correction,
      decay: kind === 'adamw' ? 1 - learningRate * weightDecay : 1,
    };
  }

  /** The factor that shortens scaled gradients to the configured norm. */
  #clipping(gradients: readonly Float32Array[], scale: number): number {
    const { clipNorm } = this.config;
    if (clipNorm === null) return 1;
    let squares = 0;
    for (const gradient of gradients) for (const g of gradient) squares += g * g;
    return Math.min(1, clipNorm / (scale * Math.sqrt(squares) + 1e-12));
  }
}

/** Indices of arrays that have about half of the elements: each, from the longest on, goes to the smaller half. */
function halfOf(lengths: readonly number[]): ReadonlySet<number> {
  const half = new Set<number>();
  let surplus = 0;
  const longestFirst = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]!);
  for (const i of longestFirst) {
    if (surplus > 0) half.add(i);
    surplus += surplus > 0 ? -lengths[i]! : lengths[i]!;
  }
  return half;
}
