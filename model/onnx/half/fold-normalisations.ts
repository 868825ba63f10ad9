import { type Attributes, ElementType, type Graph, type NodeProto, type TensorProto } from '../proto.js';

/**
 * Makes the batch normalisation behind each convolution of a frozen network part of its weights. ONNX Runtime does so by
 * itself, but with weights that are rounded to 16 bits already; and a variance may have too many digits for those.
 */
export function foldNormalisations(graph: Graph): Graph {
  const producers = new Map(graph.nodes.flatMap((node) => node.output.map((name) => [name, node])));
  const constants = constantsOf(graph);
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [...graph.initializers];
  let names = 0;
  const op = (opType: string, input: string[], attributes: Attributes = {}): string => {
    const name = `n${names++}`;
    nodes.push({ opType, input, output: [name], attributes });
    return name;
  };
  const constant = (dataType: TensorProto['dataType'], dims: number[], values: ArrayBufferView): string => {
    const name = `n${names++}`;
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    initializers.push({ name, dims, dataType, rawData });
    return name;
  };
  for (const node of graph.nodes) {
    const [x, scale, offset, mean, variance] = node.input as [string, string, string, string, string];
    const conv = producers.get(x);
    const isFoldable = node.opType === 'BatchNormalization' && conv?.opType === 'Conv';
    if (
      !isFoldable ||
      ![...conv.input, ...node.input].slice(1).every((name) => name === x || constants.has(name))
    ) {
      nodes.push(node);
      continue;
    }
    const [image, filter, bias] = conv.input as [string, string, string | undefined];
    const { float: epsilon } = node.attributes.epsilon as { readonly float: number };
    const deviation = op('Sqrt', [
      op('Add', [variance, constant(ElementType.float32, [], Float32Array.of(epsilon))]),
    ]);
    const factor = op('Div', [scale, deviation]);
    const ofOutputs = constant(ElementType.int64, [4], BigInt64Array.of(-1n, 1n, 1n, 1n));
    const scaled = op('Mul', [filter, op('Reshape', [factor, ofOutputs])]);
    const centre = bias ? op('Sub', [bias, mean]) : op('Neg', [mean]);
    const shift = op('Add', [op('Mul', [centre, factor]), offset]);
    nodes.push({ ...conv, input: [image, scaled, shift], output: node.output });
  }
  return { ...graph, nodes, initializers };
}

/** The names of constants, and of what is computed from them alone. */
function constantsOf({ nodes, initializers }: Graph): Set<string> {
  const constants = new Set(initializers.map(({ name }) => name));
  for (const { input, output } of nodes) {
    if (input.every((name) => name === '' || constants.has(name)))
      for (const name of output) constants.add(name);
  }
  return constants;
}
