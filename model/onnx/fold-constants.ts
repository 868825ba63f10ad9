import * as ort from 'onnxruntime-node';
import { FLUSH_DENORMALS } from './blocked.js';
import { ElementType, encodeModel, type Graph, type NodeProto } from './proto.js';

/**
 * Computes what depends on no input, such as composed filters: each becomes a constant of the graph, as ONNX Runtime would
 * make it when it loads the graph. Other programs do not, or warn. What is so computed must be of floats.
 */
export async function foldConstants(graph: Graph): Promise<Graph> {
  const constants = new Set(graph.initializers.map(({ name }) => name));
  const folded: NodeProto[] = [];
  const nodes: NodeProto[] = [];
  for (const node of graph.nodes) {
    const isConstant = node.input.every((name) => name === '' || constants.has(name));
    (isConstant ? folded : nodes).push(node);
    if (isConstant) for (const name of node.output) constants.add(name);
  }
  const read = new Set(nodes.flatMap(({ input }) => input));
  const names = folded.flatMap(({ output }) => output).filter((name) => read.has(name));
  const values = await compute({ nodes: folded, initializers: graph.initializers, names });
  const computed = names.map((name) => {
    const { data, dims } = values[name]!;
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    const rawData = new Uint8Array(buffer, byteOffset, byteLength);
    return { name, dims: [...dims], dataType: ElementType.float32, rawData };
  });
  const kept = graph.initializers.filter(({ name }) => read.has(name));
  return { ...graph, nodes, initializers: [...kept, ...computed] };
}

interface ConstantGraph extends Pick<Graph, 'nodes' | 'initializers'> {
  /** Of the values to return. */
  readonly names: readonly string[];
}

async function compute({
  nodes,
  initializers,
  names,
}: ConstantGraph): Promise<ort.InferenceSession.OnnxValueMapType> {
  if (names.length === 0) return {};
  const outputs = names.map((name) => ({ name, element: 'float32' as const, dims: null }));
  const model = encodeModel({ nodes, initializers, inputs: [], outputs });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: FLUSH_DENORMALS,
  });
  try {
    return await session.run({});
  } finally {
    await session.release();
  }
}
