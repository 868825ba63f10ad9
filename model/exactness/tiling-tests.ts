import { dirname, join } from 'node:path';
import { type Provider, takesBytes } from '../devices/device.js';
import type { Environment } from '../devices/environment.js';
import type { LoadedModel } from '../engine/engine-methods.js';
import type { PredictBatch } from '../engine/predict-batch.js';
import { Outcomes } from './outcomes.js';
import {
  type GraphUse,
  selfTest,
  type TestedNetwork,
  type TilingOutcome,
  tilingOutcome,
} from './self-test.js';
import { type BatchShape, type ShapeOutcome, shapeOutcome, testShape } from './shape-test.js';
import { TEST_THRESHOLD } from './tile-comparison.js';

/** The file of the shapes' outcomes. */
const SHAPES_FILE = 'shape-tests.json';

/** What is tested: a loaded model, on its device. */
type ModelOnDevice = Pick<LoadedModel, 'digest' | 'geometry'> & { readonly environment: Environment };

/**
 * The tests of networks on a device, each made once for the network, its use, the device and all versions. Their steps are
 * batches like any other, so that jobs go on between them.
 */
export class TilingTests {
  readonly #outcomes: Outcomes<TilingOutcome>;
  /** By themselves: a graph has many, which must not evict that it is not exact. */
  readonly #shapes: Outcomes<ShapeOutcome>;

  /**
   * @param device its kind, and the threads of a lane at most
   * @param path of the file that persists outcomes, and those of shapes in one beside it; null for none
   */
  constructor(
    private readonly device: { readonly provider: Provider; readonly threads: number },
    path: string | null,
  ) {
    this.#outcomes = new Outcomes(path, tilingOutcome);
    this.#shapes = new Outcomes(path && join(dirname(path), SHAPES_FILE), shapeOutcome);
  }

  /**
   * Whether, or how nearly, a network tiles exactly in one use.
   * @param threads of a batch in a lane; a batch of as many as a lane can have is tested, too
   */
  tiling(
    model: ModelOnDevice,
    use: GraphUse,
    threads: number,
    predict: PredictBatch,
  ): Promise<TilingOutcome> {
    const own = networkOf(model, use, threads, predict);
    const whole = networkOf(model, use, this.device.threads, predict);
    const test = () => selfTest(own, this.#graphOf(use), whole);
    return this.#outcomes.of(this.#dependenciesOf(model, use, threads), test);
  }

  /** The outcome of that test, where it was made before; undefined where it was not. */
  known(model: ModelOnDevice, use: GraphUse, threads: number): Promise<TilingOutcome | undefined> {
    return this.#outcomes.known(this.#dependenciesOf(model, use, threads));
  }

  /**
   * Whether, or how nearly, batches of one shape equal those of the test above, on a device that chooses kernels by shape.
   * @param isShared whether others that need the outcome meanwhile wait for this very test, and fail with it
   * @throws OutOfMemoryError (by `code`) for a batch that does not fit; that is no outcome
   */
  async shape(
    model: ModelOnDevice,
    use: GraphUse,
    shape: BatchShape,
    predict: PredictBatch,
    { isShared = true } = {},
  ): Promise<ShapeOutcome> {
    const network = networkOf(model, use, this.device.threads, predict);
    const test = () => testShape(network, this.#graphOf(use), shape);
    const dependencies = this.#shapeOf(model, use, shape);
    if (isShared) return this.#shapes.of(dependencies, test);
    const outcome = await test();
    await this.#shapes.set(dependencies, outcome);
    return outcome;
  }

  /** The outcome of that test, where it was made before; undefined where it was not. */
  knownShape(model: ModelOnDevice, use: GraphUse, shape: BatchShape): Promise<ShapeOutcome | undefined> {
    return this.#shapes.known(this.#shapeOf(model, use, shape));
  }

  /** Has a graph count as inexact from now on, since a shape of it is. */
  async refute(model: ModelOnDevice, use: GraphUse, largestDifference: number | null): Promise<void> {
    const dependencies = this.#dependenciesOf(model, use, this.device.threads);
    await this.#outcomes.set(dependencies, { exact: false, largestDifference });
  }

  /** The graph of a use on this device, with its parts in one order: it is compared as JSON. */
  #graphOf({ output, symmetries, channels, threshold, isOfBytes, scaled }: GraphUse): GraphUse {
    const isFedBytes = isOfBytes && takesBytes(this.device.provider);
    return {
      output,
      symmetries,
      channels,
      ...(threshold && { threshold }),
      ...(isFedBytes && { isOfBytes }),
      ...(scaled !== undefined && { scaled }),
    };
  }

  #shapeOf(model: ModelOnDevice, use: GraphUse, { width, height, count }: BatchShape) {
    return { ...this.#dependenciesOf(model, use, this.device.threads), shape: [width, height, count] };
  }

  #dependenciesOf({ digest, environment }: ModelOnDevice, use: GraphUse, threads: number) {
    return { digest, use: this.#graphOf(use), environment, threads: [threads, this.device.threads] };
  }
}

/** A network that is computed with a number of threads. */
function networkOf(
  { geometry }: ModelOnDevice,
  use: GraphUse,
  threads: number,
  predict: PredictBatch,
): TestedNetwork {
  const threshold = use.threshold ? TEST_THRESHOLD : null;
  return {
    geometry,
    predict: (batch, output, symmetries) => predict(batch, output, { symmetries, threshold, threads }),
  };
}
