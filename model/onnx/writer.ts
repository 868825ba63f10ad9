import {
  type Attributes,
  type ElementName,
  ElementType,
  NCHWC,
  type NodeProto,
  type TensorProto,
  type ValueInfo,
} from './proto.js';

/** ONNX's Slice reads this end as "to the last element", and its negative as "to the first". */
export const SLICE_END = 2 ** 31 - 1;

const ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
} satisfies Record<ElementName, unknown>;

/** Collects the nodes and initialisers of one ONNX graph; of equal nodes only the first is written. */
export class GraphWriter {
  /**
   * @param block channels in a block where convolutions may be blocked; null where they may not
   * @param isFrozen whether weights are constants: then what is computed from them alone is computed once
   * @param prefix of the names that are written, where they are to be joined with those of another graph
   */
  constructor(
    readonly block: number | null = null,
    readonly isFrozen = false,
    private readonly prefix = '',
  ) {}

  /** Whether the graph is for other programs: an image "in blocks" is one in NCHW there; see `PortableWriter`. */
  get isPortable(): boolean {
    return false;
  }

  /** Channels that lie together in memory where an image is in blocks. */
  get run(): number {
    return this.block!;
  }

  /** Brings an image in blocks, which has this many channels, to NCHW. */
  unblock(name: string, channels: number): string {
    return this.op(`${NCHWC}:ReorderOutput`, [name], { channels });
  }

  /** Brings the first channels of an image in blocks to NCHW; the others only fill its last block. */
  cutBlock(name: string, channels: number): string {
    return this.unblock(name, channels);
  }

  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfo[] = [];
  readonly outputs: ValueInfo[] = [];
  readonly #written = new Map<string, string[]>();
  #names = 0;

  /** Writes a node with one output and returns the output's name. */
  op(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.ops(opType, inputs, attributes, 1)[0]!;
  }

  /** Writes a node with several outputs; an equal node that has fewer is extended. */
  ops(opType: string, inputs: readonly string[], attributes: Attributes, outputs: number): string[] {
    const key = nodeKey(opType, inputs, attributes);
    const known = this.#written.get(key);
    const output = known ?? [];
    while (output.length < outputs) output.push(`${this.prefix}v${this.#names++}`);
    if (known) return known;
    this.nodes.push({
      opType,
      input: [...inputs],
      output,
      attributes,
    });
    this.#written.set(key, output);
    return output;
  }

  /** The first output of an existing node; undefined where there is none. */
  written(opType: string, inputs: readonly string[], attributes: Attributes = {}): string | undefined {
    return this.#written.get(nodeKey(opType, inputs, attributes))?.[0];
  }

  /** What `write` returns, which is called once for each key. */
  once(key: string, write: () => string): string {
    const known = this.#written.get(key);
    if (known) return known[0]!;
    const name = write();
    this.#written.set(key, [name]);
    return name;
  }

  /** A vector constant of `int64`: axes, shapes, starts. */
  ints(values: readonly number[]): string {
    return this.#constant('int64', [values.length], values, () => BigInt64Array.from(values.map(BigInt)));
  }

  /** A scalar constant. */
  scalar(value: number, dtype: ElementName = 'float32'): string {
    const array = ARRAYS[dtype];
    return this.#constant(dtype, [], [value], () => array.of(value));
  }

  /** Reverses a tensor along the given axes. */
  reverse(name: string, axes: readonly number[]): string {
    const repeat = (value: number) => this.ints(axes.map(() => value));
    return this.op('Slice', [name, repeat(-1), repeat(-SLICE_END), this.ints(axes), repeat(-1)]);
  }

  cast(name: string, to: ElementName): string {
    return this.op('Cast', [name], { to: ElementType[to] });
  }

  #constant(
    dtype: keyof typeof ElementType,
    dims: number[],
    values: readonly number[],
    array: () => ArrayBufferView,
  ): string {
    const key = `const ${dtype}[${dims}]${values.map((v) => (Object.is(v, -0) ? '-0' : v))}`;
    return this.once(key, () => this.initializer(dtype, dims, array()));
  }

  /** Adds an array as a constant of the graph. Unlike `ints` and `scalar`, equal arrays are not shared. */
  initializer(dtype: keyof typeof ElementType, dims: readonly number[], array: ArrayBufferView): string {
    const name = `${this.prefix}c${this.#names++}`;
    const rawData = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    this.initializers.push({ name, dims: [...dims], dataType: ElementType[dtype], rawData });
    return name;
  }
}

function nodeKey(opType: string, inputs: readonly string[], attributes: Attributes): string {
  return `${opType}(${inputs.join()})${JSON.stringify(attributes)}`;
}
