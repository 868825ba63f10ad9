import tf = require('@tensorflow/tfjs-core');

import * as ort from 'onnxruntime-node';
import { type GraphPrecision, takesBytes } from '../devices/device.js';
import { graphError, PendingReadError, UnsupportedKernelError } from '../errors.js';
import { feedShape, gather, type Program } from './compile.js';
import { refuseOverflow } from './half/overflow.js';
import type { AnyOperator, Inputs, Operator } from './operator.js';
import type { ElementName } from './proto.js';
import { type DeviceOptions, tryDevice } from './providers.js';
import { isRecordOf, type Recorded, type TensorData } from './record.js';
import { SessionCache, type SessionOptions } from './sessions.js';
import { Trace } from './trace.js';

export const BACKEND = 'onnx';

/** Bytes are computed by operators that TensorFlow.js does not know: see `kernels/bytes.ts`. */
const ELEMENTS = new Set<string>(['float32', 'int32', 'bool', 'uint8', 'int8'] satisfies ElementName[]);

const toBytes: Operator = {
  name: 'ToBytes',
  emit: (g, [x], _attributes, output) => output.value(g.cast(x.plain, 'uint8')),
};

/** One tensor of TensorFlow.js for each input of an operator. */
type TensorsOf<I extends Inputs> = { readonly [K in keyof I]: tf.TensorInfo } & readonly tf.TensorInfo[];

/**
 * The TensorFlow.js backend on ONNX Runtime.
 *
 * Kernels only record operators. `read()` compiles all pending tensors into one ONNX graph, runs it, and stores
 * the values of each. Graphs of the same structure share a session, so the steps of a training run, and the
 * batches of a slide, compile once.
 *
 * A scalar (rank 0) that is written becomes a constant of the graph, and part of its structure. A value that
 * changes from run to run, such as a learning rate, must be a tensor of shape [1] instead.
 */
export class OnnxBackend extends tf.KernelBackend {
  /** Records networks whose feature maps are bytes. */
  readonly bytes = this;
  readonly #data: tf.DataStorage<TensorData>;
  readonly #pending = new Set<TensorData>();
  readonly #sessions: SessionCache;
  readonly #device: DeviceOptions;
  /** Threads of the graphs that are run from now on. */
  threads: number;
  /** Of the computations that are recorded, or run without being recorded, from now on. */
  precision: GraphPrecision;
  #flushing: Promise<void> = Promise.resolve();
  #releasing: Promise<void> = Promise.resolve();
  /** Inputs of the computation that is being recorded. */
  #traced: ReadonlySet<TensorData> = new Set();
  /** Inputs of recorded computations, which may remain after their tensors: their values are fed with each run. */
  readonly #fed = new WeakSet<TensorData>();
  /** Whether images may be fed as bytes; see `Runtime.takesBytes`. */
  takesBytes: boolean;
  #recorded = 0;
  #constants = 0;

  constructor(options: SessionOptions) {
    super();
    this.#data = new tf.DataStorage<TensorData>(this, tf.engine());
    this.#sessions = new SessionCache(options);
    this.#device = options;
    this.takesBytes = takesBytes(options.provider);
    this.threads = options.threads;
    this.precision = options.precision ?? 'fp32';
  }

  /** Tensors that are not computed yet, sessions in the cache, and graphs compiled so far. */
  get stats(): { readonly pending: number; readonly sessions: number; readonly compiled: number } {
    return { pending: this.#pending.size, ...this.#sessions.stats };
  }

  /**
   * What bits depend on besides the processor: among it, channels in a block of convolutions, null without blocks. Tries
   * the device before.
   * @throws what ONNX Runtime throws; DeviceUnavailableError where the device computes wrong values
   */
  async facts(): Promise<{ provider: string; channelBlock: number | null; tensorflow: null }> {
    if (this.#device.provider !== 'cpu') await tryDevice(this.#device);
    const { provider } = this.#device;
    const channelBlock = this.precision === 'fp16' ? null : await this.#sessions.block;
    return { provider, channelBlock, tensorflow: null };
  }

  /**
   * Records one operator; its output is computed when it, or anything that depends on it, is read. Where the input
   * is a pending result of the same operator and both can be fused, one operator is recorded in place of the two.
   *
   * @param shape that of the output, as is `dtype`
   */
  record<A extends object, I extends Inputs>(
    operator: AnyOperator<A, I>,
    inputs: TensorsOf<I>,
    attributes: A,
    shape: readonly number[],
    dtype: tf.DataType | ElementName,
  ): tf.TensorInfo {
    const data = this.#add(shape, dtype, null);
    const own = { inputs: inputs.map((info) => this.#data.get(info.dataId)), attributes };
    const { type } = data;
    data.source = { id: this.#recorded++, operator, type, ...(fuse(operator, own) ?? own) };
    this.#pending.add(data);
    return this.#info(data);
  }

  /**
   * A tensor that shares the values of `x` under another shape; null where `x` is pending or frozen, or the input of a
   * computation that is being recorded.
   */
  alias(x: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo | null {
    const data = this.#data.get(x.dataId);
    const { values, constantId } = data;
    if (values === null || constantId !== null || this.#traced.has(data)) return null;
    return this.#info(this.#add(shape, x.dtype, values));
  }

  /** Turns tensors into constants of the graphs that read them; for weights that do not change any more. */
  async freeze(tensors: readonly tf.Tensor[]): Promise<void> {
    for (const tensor of tensors) {
      await this.read(tensor.dataId);
      this.#data.get(tensor.dataId).constantId ??= this.#constants++;
    }
  }

  /** Adds a constant of the graphs that read it, until its data is disposed of. */
  constant(values: Float32Array | Int32Array | Int8Array, shape: readonly number[]): tf.TensorInfo {
    const dtype = values instanceof Int8Array ? 'int8' : values instanceof Int32Array ? 'int32' : 'float32';
    const stored =
      values instanceof Int8Array ? new Uint8Array(values.buffer, values.byteOffset, values.length) : values;
    const data = this.#add(shape, dtype, stored);
    data.constantId = this.#constants++;
    return this.#info(data);
  }

  /**
   * Records a computation of frozen tensors and of inputs that each run provides.
   * @param shapes of the inputs, such as the smallest image that the network takes
   * @param bytes whether the first input is of bytes, which `compute` casts, while others are floats; and whether an output
   * of integers is returned as bytes, which must hold them
   */
  trace(
    shapes: readonly (readonly number[])[],
    compute: (inputs: readonly tf.Tensor[]) => tf.Tensor,
    { isInput, isOutput } = { isInput: false, isOutput: false },
  ): Trace {
    const inputs = shapes.map((shape, i) => (isInput && i === 0 ? this.#bytes(shape) : tf.zeros([...shape])));
    try {
      return this.traceOf(inputs, () => {
        const output = compute(inputs);
        return [isOutput && output.dtype === 'int32' ? this.#toBytes(output) : output];
      });
    } finally {
      tf.dispose(inputs);
    }
  }

  /**
   * Records a computation.
   * @param inputs whose values each run provides; other tensors that are computed keep their values
   * @returns the recorded computation, which does not need the inputs any more
   */
  traceOf(inputs: readonly tf.Tensor[], compute: () => readonly tf.Tensor[]): Trace {
    const places = inputs.map(({ dataId }) => this.#data.get(dataId));
    for (const place of places) this.#fed.add(place);
    this.#traced = new Set(places);
    let outputs: readonly tf.Tensor[];
    try {
      outputs = tf.tidy(() => [...compute()]);
    } finally {
      this.#traced = new Set();
    }
    const tensors = outputs.map(({ dataId }) => this.#data.get(dataId));
    const program = gather(tensors, this.precision);
    tf.dispose([...outputs]);
    const get = async (traced: Program) => {
      await this.#releasing;
      return this.#sessions.get(traced, this.threads);
    };
    const release = (traced: Program, threads: number) => this.#sessions.release(traced, threads);
    return new Trace(program, places, { get, release });
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    return this.#info(this.#add(shape, dtype, values)).dataId;
  }

  override move(
    dataId: tf.DataId,
    values: tf.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    const data = this.#add(shape, dtype, values);
    data.refCount = refCount;
    this.#data.set(dataId, data);
  }

  override async read(dataId: tf.DataId): Promise<tf.BackendValues> {
    const data = this.#data.get(dataId);
    if (data.values === null) {
      const turn = this.#flushing.then(() => (data.values === null ? this.#flush(data) : undefined));
      this.#flushing = turn.catch(() => undefined);
      await turn;
    }
    return data.values!;
  }

  override readSync(dataId: tf.DataId): tf.BackendValues {
    const { values } = this.#data.get(dataId);
    if (values === null) throw new PendingReadError();
    return values;
  }

  override incRef(dataId: tf.DataId): void {
    this.#data.get(dataId).refCount++;
  }

  override refCount(dataId: tf.DataId): number {
    return this.#data.has(dataId) ? this.#data.get(dataId).refCount : 0;
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    if (!this.#data.has(dataId)) return true;
    const data = this.#data.get(dataId);
    data.refCount--;
    if (data.refCount > 0 && !force) return false;
    this.#data.delete(dataId);
    this.#pending.delete(data);
    if (this.#fed.has(data)) data.values = null;
    const { constantId } = data;
    if (constantId !== null) {
      this.#releasing = this.#releasing.then(() => this.#sessions.releaseConstant(constantId));
    }
    return true;
  }

  /** Resolves once the sessions of disposed frozen tensors are released. */
  settled(): Promise<void> {
    return this.#releasing;
  }

  /** Releases every session. A backend that is used afterwards compiles its graphs anew. */
  async close(): Promise<void> {
    await this.#flushing;
    await this.#releasing;
    await this.#sessions.clear();
  }

  override numDataIds(): number {
    return this.#data.numDataIds();
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return false;
  }

  #add(
    shape: readonly number[],
    dtype: tf.DataType | ElementName,
    values: tf.BackendValues | null,
  ): TensorData {
    if (!ELEMENTS.has(dtype)) throw new UnsupportedKernelError('write', `it has no tensors of ${dtype}`);
    const type = { shape: [...shape], dtype: dtype as ElementName };
    const scalar = shape.length === 0 && values !== null ? Number((values as Float32Array)[0]) : null;
    return { type, refCount: 1, values, source: null, constantId: null, scalar };
  }

  /** A tensor of bytes, to be cast: to TensorFlow.js, which has no name for them, it is one of integers. */
  #bytes(shape: readonly number[]): tf.Tensor {
    const values = new Uint8Array(shape.reduce((product, side) => product * side, 1));
    const { dataId } = this.#info(this.#add(shape, 'uint8', values));
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: 'int32' });
  }

  /** To TensorFlow.js, the bytes are integers still. */
  #toBytes(integers: tf.Tensor): tf.Tensor {
    const { dataId, shape } = this.record(toBytes, [integers], {}, integers.shape, 'uint8');
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'int32' });
  }

  #info(data: TensorData): tf.TensorInfo {
    const dataId = {};
    this.#data.set(dataId, data);
    // TensorFlow.js has no name for bytes, which it never sees
    return { dataId, shape: [...data.type.shape], dtype: data.type.dtype as tf.DataType };
  }

  async #flush(requested: TensorData): Promise<void> {
    const outputs = this.#pending.has(requested) ? [...this.#pending] : [requested];
    const program = gather(outputs, this.precision);
    await this.#releasing;
    const session = await this.#sessions.get(program, this.threads);
    const feeds = Object.fromEntries(
      program.feeds.map((data, i) => [
        `i${i}`,
        new ort.Tensor(data.type.dtype, data.values as Float32Array, feedShape(data.type.shape, program)),
      ]),
    );
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await session.run(feeds);
    } catch (cause) {
      throw graphError(`ONNX Runtime failed a graph of ${program.nodes.length} operators`, cause);
    }
    refuseOverflow(results);
    for (const [i, data] of outputs.entries()) {
      data.values = results[`o${i}`]!.data as Float32Array;
      data.source = null;
      this.#pending.delete(data);
    }
  }
}

/** Inputs and attributes of the one operator that replaces `operator` and its input; null where they cannot be fused. */
function fuse<A extends object, I extends Inputs>(
  operator: AnyOperator<A, I>,
  { inputs: [input], attributes }: { readonly inputs: readonly TensorData[]; readonly attributes: A },
): Pick<Recorded, 'inputs' | 'attributes'> | null {
  const source = input?.source;
  if (operator.shapeBound || !operator.fuse || !source || !isRecordOf(source, operator)) return null;
  const fused = operator.fuse(source.attributes, attributes);
  return fused && { inputs: source.inputs, attributes: fused };
}
