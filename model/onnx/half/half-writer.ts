import { PrecisionError } from '../../errors.js';
import { type Attributes, ElementType, type Graph, type NodeProto, type TensorProto } from '../proto.js';
import { elementsOf } from './elements.js';
import { areHalves, halvesOf, isNormalHalf, MAX_HALF } from './float16.js';
import { overflowing } from './overflowing-operators.js';
import { DECISIONS, dataInputs, FULL, HALF, MOVES } from './policy.js';

/** Writes a graph anew, in which some floats have 16 bits. Values keep their names in the precision that they have. */
export class HalfWriter {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[];
  /** Values that left the 16 bits, in 32. */
  readonly widened: string[] = [];
  /** Of all values of the graph that are floats. */
  readonly #floats: ReadonlySet<string>;
  readonly #constants: ReadonlyMap<string, TensorProto>;
  readonly #producers: ReadonlyMap<string, NodeProto>;
  /** Values that are computed in 16 bits. */
  readonly #halves = new Set<string>();
  /** Copies of values in the other precision. */
  readonly #narrowed = new Map<string, string>();
  readonly #wide = new Map<string, string>();
  /** Fed floats for each channel, such as biases. */
  readonly #vectors: ReadonlySet<string>;
  #names = 0;

  constructor(
    graph: Graph,
    private readonly isFrozen: boolean,
  ) {
    const isFloat = ([, element]: readonly [string, string]) => element === 'float32';
    this.#floats = new Set([...elementsOf(graph)].filter(isFloat).map(([name]) => name));
    this.initializers = [...graph.initializers];
    this.#constants = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
    this.#producers = new Map(graph.nodes.flatMap((node) => node.output.map((name) => [name, node])));
    const vectors = graph.inputs.filter(({ dims }) => dims.slice(0, -1).every((length) => length === 1));
    this.#vectors = new Set(vectors.map(({ name }) => name));
  }

  /** Writes a node of the graph, in the precision that suits it. */
  add(node: NodeProto): void {
    const { opType, input, output, attributes } = node;
    if (!this.#isHalf(node)) {
      this.nodes.push({ ...node, input: input.map((name) => this.#full(name)) });
      return;
    }
    for (const name of output) if (this.#floats.has(name)) this.#halves.add(name);
    const alpha = attributes.alpha as { readonly float: number } | undefined;
    if (opType === 'HardSigmoid' && alpha!.float > MAX_HALF) {
      // a step function, for which numbers of 16 bits are not steep enough
      const zero = this.constant('float16', new Uint16Array(1));
      const isPositive = this.op('Greater', [this.#half(input[0]!), zero]);
      this.nodes.push(castTo('float16', isPositive, output[0]!));
      return;
    }
    const halved = { ...node, input: this.#halfInputs(node) };
    this.nodes.push(overflowing(halved, (...written) => this.op(...written)));
  }

  /** Writes a further node, and returns the name of its output. */
  op(opType: string, input: readonly string[], attributes: Attributes = {}): string {
    const name = this.#name();
    this.nodes.push({ opType, input: [...input], output: [name], attributes });
    return name;
  }

  /** Adds a scalar. */
  constant(element: 'float16' | 'float32', values: Uint16Array | Float32Array): string {
    return this.#initializer(element, [], values);
  }

  /** Whether a node is computed in 16 bits; some of its inputs are floats in that case. */
  #isHalf(node: NodeProto): boolean {
    const { opType } = node;
    if (HALF.has(opType)) return true;
    if (FULL.has(opType) || (this.isFrozen && DECISIONS.has(opType))) return false;
    const floats = dataInputs(node).filter((name) => this.#floats.has(name));
    const others = floats.filter((name) => !this.#halves.has(name));
    return others.length < floats.length && others.every((name) => this.#isNarrowable(name));
  }

  /** Whether a float that is computed in 32 bits may be rounded for what is computed with it: constants and weights. */
  #isNarrowable(name: string): boolean {
    const constant = this.#constants.get(name);
    if (constant) {
      const values = floatsIn(constant);
      return values.length === 1 ? isNormalHalf(values[0]!) : areHalves(values);
    }
    const producer = this.#producers.get(name);
    if (!producer) return this.#vectors.has(name);
    if (!MOVES.has(producer.opType)) return producer.opType === 'ConstantOfShape';
    return dataInputs(producer).every((input) => !this.#floats.has(input) || this.#isNarrowable(input));
  }

  /** A value in 32 bits; the same one if it is no float. */
  #full(name: string): string {
    if (!this.#halves.has(name)) return name;
    const known = this.#wide.get(name);
    if (known) return known;
    const wide = this.#name();
    this.nodes.push(castTo('float32', name, wide));
    this.#wide.set(name, wide);
    this.widened.push(wide);
    return wide;
  }

  /** A float in 16 bits. What is only moved is rounded before. */
  #half(name: string): string {
    if (this.#halves.has(name)) return name;
    const known = this.#narrowed.get(name);
    if (known) return known;
    const narrowed = this.#narrow(name);
    this.#narrowed.set(name, narrowed);
    return narrowed;
  }

  #narrow(name: string): string {
    const constant = this.#constants.get(name);
    if (constant) return this.#narrowConstant(constant);
    const producer = this.#producers.get(name);
    const { opType, attributes } = producer ?? {};
    if (opType !== undefined && MOVES.has(opType))
      return this.op(opType, this.#halfInputs(producer!), attributes);
    const narrowed = this.#name();
    this.nodes.push(castTo('float16', name, narrowed));
    return narrowed;
  }

  #halfInputs(node: NodeProto): string[] {
    const data = dataInputs(node);
    return node.input.map((name, i) => (i < data.length && this.#floats.has(name) ? this.#half(name) : name));
  }

  /** @throws PrecisionError */
  #narrowConstant(tensor: TensorProto): string {
    const values = floatsIn(tensor);
    if (!areHalves(values)) {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      throw new PrecisionError(
        `the network has a weight of ${largest}, and --precision fp16 holds numbers up to ${MAX_HALF}: choose fp32`,
      );
    }
    return this.#initializer('float16', tensor.dims, halvesOf(values));
  }

  #initializer(
    element: 'float16' | 'float32',
    dims: readonly number[],
    values: Uint16Array | Float32Array,
  ): string {
    const name = this.#name();
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.initializers.push({ name, dims: [...dims], dataType: ElementType[element], rawData });
    return name;
  }

  #name(): string {
    return `h${this.#names++}`;
  }
}

function castTo(element: 'float16' | 'float32', from: string, to: string): NodeProto {
  return { opType: 'Cast', input: [from], output: [to], attributes: { to: ElementType[element] } };
}

/** The values of a constant of floats. */
function floatsIn({ rawData }: TensorProto): Float32Array {
  const aligned = rawData.byteOffset % 4 === 0 ? rawData : rawData.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
