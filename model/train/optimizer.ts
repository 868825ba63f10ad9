import { ModelConfigError } from '../errors.js';
import type { OptimizerConfig } from './choices.js';
import { adamLoop, BETA1, BETA2, sgdLoop } from './update.js';
import { allocate, type LoopMemory, MAX_MEMORY_BYTES } from './vector-loop.js';

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
 * Weights, gradients and moments are arrays in one memory, which a step goes over once. As operators of a graph it would
 * take a dozen passes, and its results would be copied out of the graph and back into it at each step. The powers of
 * Adam's betas follow from the number of steps, so that weights, slots and `steps` are the complete state.
 */
export class Optimizer {
  /** Steps taken so far. */
  steps = 0;
  readonly weights: readonly Float32Array[];
  readonly gradients: readonly Float32Array[];
  /** Momenta of each array of weights; or the first moments of all, and then the second. */
  readonly slots: readonly Float32Array[];
  readonly #run: (learningRate: number, factor: number) => void;

  /**
   * @param lengths of the arrays of weights, at least one
   * @throws ModelConfigError for more weights than its memory holds
   */
  constructor(
    private readonly config: OptimizerConfig,
    lengths: readonly number[],
  ) {
    const regions = config.kind === 'sgd' ? 3 : 4;
    const bytes = lengths.reduce((sum, length) => sum + alignedBytes(length), 0);
    if (regions * bytes > MAX_MEMORY_BYTES) {
      const most = Math.floor(MAX_MEMORY_BYTES / regions / 4).toLocaleString('en');
      throw new ModelConfigError(`the network has too many weights: ${config.kind} trains at most ${most}`);
    }
    const memory = allocate(regions * bytes);
    const addresses = Array.from({ length: regions }, (_, i) => i * bytes);
    const arrays = addresses.map((address) => arraysIn(memory, address, lengths));
    [this.weights, this.gradients] = [arrays[0]!, arrays[1]!];
    this.slots = arrays.slice(2).flat();
    this.#run = this.#compile(memory, addresses, bytes);
  }

  /** Updates the weights by the gradients. */
  update({ learningRate, scale = 1 }: UpdateOptions): void {
    this.steps++;
    this.#run(learningRate, scale * this.#clipping(scale));
  }

  #compile(
    memory: LoopMemory,
    addresses: readonly number[],
    bytes: number,
  ): (learningRate: number, factor: number) => void {
    const { kind, momentum, weightDecay } = this.config;
    if (kind === 'sgd') {
      const descend = sgdLoop().compile(memory);
      return (rate, factor) => descend(addresses, bytes, { factor, rate, momentum });
    }
    const adapt = adamLoop().compile(memory);
    return (learningRate, factor) => {
      // both bias corrections, in the efficient form at the end of section 2 of the paper
      const correction = Math.sqrt(1 - BETA2 ** this.steps);
      const rate = (learningRate * correction) / (1 - BETA1 ** this.steps);
      const decay = kind === 'adamw' ? learningRate * weightDecay : 0;
      adapt(addresses, bytes, { factor, rate, epsilon: EPSILON * correction, decay });
    };
  }

  /** The factor that shortens scaled gradients to the configured norm. */
  #clipping(scale: number): number {
    const { clipNorm } = this.config;
    if (clipNorm === null) return 1;
    let squares = 0;
    for (const gradient of this.gradients) for (const g of gradient) squares += g * g;
    return Math.min(1, clipNorm / (scale * Math.sqrt(squares) + 1e-12));
  }
}

/** The bytes of an array, and zeros up to where the next one is aligned as ONNX Runtime's own arrays are. */
const alignedBytes = (length: number): number => Math.ceil(length / 16) * 64;

function arraysIn({ buffer }: LoopMemory, address: number, lengths: readonly number[]): Float32Array[] {
  let at = address;
  return lengths.map((length) => {
    const array = new Float32Array(buffer, at, length);
    at += alignedBytes(length);
    return array;
  });
}
