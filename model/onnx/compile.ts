import type { GraphPrecision } from '../devices/device.js';
import type { Graph } from './proto.js';
import type { Recorded, TensorData } from './record.js';
import { type Deferred, type Layout, NCHW, type Shape, Value } from './value.js';
import { GraphWriter } from './writer.js';

/** The recorded operators that some tensors depend on, in the order in which they were recorded. */
export interface Program {
  readonly nodes: readonly Recorded[];
  /** Computed tensors that the nodes read; their values are fed at each run. */
  readonly feeds: readonly TensorData[];
  /** Frozen tensors that the nodes read; their values are part of the graph. */
  readonly constants: readonly TensorData[];
  readonly outputs: readonly TensorData[];
  readonly precision: GraphPrecision;
  /** The structure: programs with equal keys compile to the same graph and share a session. */
  readonly key: string;
}

/** Collects the operators that `outputs` depend on, and derives the key of their structure. */
export function gather(outputs: readonly TensorData[], precision: GraphPrecision = 'fp32'): Program {
  const reached = new Set<Recorded>();
  const feeds = new Map<TensorData, number>();
  const constants = new Map<TensorData, number>();
  const stack = [...outputs];
  while (stack.length > 0) {
    const data = stack.pop()!;
    if (data.source === null || reached.has(data.source)) continue;
    reached.add(data.source);
    stack.push(...data.source.inputs);
  }
  const nodes = [...reached].sort((a, b) => a.id - b.id);
  const index = new Map(nodes.map((node, i) => [node, i]));
  for (const data of nodes.flatMap((node) => node.inputs)) {
    if (data.source !== null || data.scalar !== null) continue;
    const kind = data.constantId === null ? feeds : constants;
    if (!kind.has(data)) kind.set(data, kind.size);
  }
  const isFrozen = constants.size > 0;
  const reference = (data: TensorData): string => {
    if (data.source !== null) return `${index.get(data.source)}`;
    if (data.scalar !== null) return `${data.type.dtype} ${Object.is(data.scalar, -0) ? '-0' : data.scalar}`;
    return data.constantId === null ? `f${feeds.get(data)}` : `c${data.constantId}`;
  };
  const parts = nodes.map((node) => {
    const { operator, inputs, attributes, type } = node;
    const shapes = operator.shapeBound ? [...inputs, { type }].map((data) => `[${data.type.shape}]`) : '';
    return `${operator.name}(${inputs.map(reference)})${type.dtype}${shapes}${attributesKey(attributes)}`;
  });
  const inputs = [...feeds.keys()].map((data) => `${data.type.dtype}[${feedDims(data, 'n', isFrozen)}]`);
  return {
    nodes,
    feeds: [...feeds.keys()],
    constants: [...constants.keys()],
    outputs,
    precision,
    key: `${precision === 'fp32' ? '' : `${precision} `}${inputs.join()};${parts.join(';')};${outputs.map(reference)}`,
  };
}

/** Attributes as JSON, with the numbers that JSON does not distinguish: infinities, NaN and -0. */
function attributesKey(attributes: object): string {
  return JSON.stringify(attributes, (_name, value: unknown) => {
    if (typeof value !== 'number') return value;
    return Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : String(value);
  });
}

/**
 * The dimensions that a graph declares for a fed tensor. A frozen network leaves batch, height and width of
 * its images symbolic, so that one session serves every tile shape; a training graph fixes all of them, so that
 * ONNX Runtime can plan its memory.
 */
function feedDims(data: TensorData, name: string, isFrozen: boolean): (number | string)[] {
  const { shape } = data.type;
  if (!isFrozen || shape.length !== 4) return [...shape];
  const [batch, height, width, channels] = [`${name}_0`, `${name}_1`, `${name}_2`, shape[3]!];
  return isGray(shape) ? [batch, 1, height, width] : [batch, height, width, channels];
}

/** The dimensions with which a tensor of a shape is fed to a program's graph. */
export function feedShape(shape: Shape, { constants }: Pick<Program, 'constants'>): readonly number[] {
  return constants.length > 0 && isGray(shape) ? NCHW.map((dim) => shape[dim]!) : shape;
}

/** Whether a shape is of images of one channel, which are the same values in NHWC and in NCHW. */
const isGray = (shape: Shape): boolean => shape.length === 4 && shape[3] === 1;

/**
 * Images that are fed to a frozen network, in NCHW from the start: ONNX Runtime is ten times slower at computing with
 * channels that are a last dimension of one or three.
 */
function imageLayout(
  graph: GraphWriter,
  data: TensorData,
  name: string,
): { readonly name: string; readonly layout?: Layout } {
  if (data.type.shape.length !== 4) return { name };
  return {
    name: isGray(data.type.shape) ? name : graph.op('Transpose', [name], { perm: [...NCHW] }),
    layout: NCHW,
  };
}

/**
 * Compiles a program to an ONNX graph whose inputs are `i0…` and outputs `o0…`, in the program's order.
 * @param block channels in a block on this device, or null where it has no blocked operators; see `findBlock`
 */
export function compile(program: Program, block: number | null): Graph {
  return compileInto(new GraphWriter(block, program.constants.length > 0), program);
}

/** Writes a program into an empty graph; see `compile`. */
export function compileInto<Writer extends GraphWriter>(graph: Writer, program: Program): Writer {
  const { isFrozen } = graph;
  const values = new Map<TensorData | Recorded, Value>();
  const lookup = (data: TensorData): Value =>
    data.scalar === null
      ? values.get(data.source ?? data)!
      : new Value(graph, data.type, { name: graph.scalar(data.scalar, data.type.dtype) });
  for (const [i, data] of program.feeds.entries()) {
    const name = `i${i}`;
    graph.inputs.push({ name, element: data.type.dtype, dims: feedDims(data, name, isFrozen) });
    values.set(data, new Value(graph, data.type, isFrozen ? imageLayout(graph, data, name) : { name }));
  }
  for (const data of program.constants) {
    const array = data.values as Float32Array | Int32Array | Uint8Array;
    const name = graph.initializer(data.type.dtype, data.type.shape, array);
    values.set(data, new Value(graph, data.type, { name }));
  }
  for (const node of program.nodes) {
    values.set(node, emit(graph, node, node.inputs.map(lookup)));
  }
  for (const [i, data] of program.outputs.entries()) {
    const name = `o${i}`;
    graph.nodes.push({
      opType: 'Identity',
      input: [lookup(data).plain],
      output: [name],
      attributes: {},
    });
    const dims = isFrozen ? data.type.shape.map((_, d) => `${name}_${d}`) : data.type.shape;
    graph.outputs.push({ name, element: data.type.dtype, dims });
  }
  return graph;
}

/** Emits one operator's nodes. Shapes are passed only to an operator that declares that it depends on them. */
function emit(graph: GraphWriter, { operator, inputs, attributes, type }: Recorded, values: Value[]): Value {
  const output = {
    rank: type.shape.length,
    dtype: type.dtype,
    value: (name: string, layout?: Layout) => new Value(graph, type, { name, ...(layout && { layout }) }),
    deferred: (deferred: Deferred) => new Value(graph, type, deferred),
  };
  if (!operator.shapeBound) return operator.emit(graph, values, attributes, output);
  const shapes = { inputs: inputs.map((input) => input.type.shape), output: type.shape };
  return operator.emit(graph, values, attributes, output, shapes);
}
