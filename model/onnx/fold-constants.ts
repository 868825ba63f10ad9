import * as ort from 'onnxruntime-node';
import { FLUSH_DENORMALS } from './blocked.js';
import {
  type ElementName,
  ElementType,
  encodeModel,
  type Graph,
  type NodeProto,
  type TensorProto,
} from './proto.js';
import { GraphWriter } from './writer.js';

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
  const computed = await compute(folded, graph.initializers, names);
  const kept = graph.initializers.filter(({ name }) => read.has(name));
  return { ...graph, nodes, initializers: [...kept, ...computed] };
}

/** The values of some names of a graph without inputs. */
async function compute(
  nodes: readonly NodeProto[],
  initializers: readonly TensorProto[],
  names: readonly string[],
): Promise<TensorProto[]> {
  if (names.length === 0) return [];
  // an output must state its dimensions, which only computing them reveals
  const g = new GraphWriter(null, true, 'fold_');
  for (const [i, name] of names.entries()) {
    const output = (element: ElementName, kind: string, value: string) => {
      g.outputs.push({ name: `${kind}${i}`, element, dims: [`${kind}${i}_length`] });
      g.nodes.push({ opType: 'Identity', input: [value], output: [`${kind}${i}`], attributes: {} });
    };
    output('float32', 'values', g.op('Reshape', [name, g.ints([-1])]));
    output('int32', 'shape', g.cast(g.op('Shape', [name]), 'int32'));
  }
  const model = encodeModel({
    nodes: [...nodes, ...g.nodes],
    initializers: [...initializers, ...g.initializers],
    inputs: [],
    outputs: g.outputs,
  });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: FLUSH_DENORMALS,
  });
  try {
    const results = await session.run({});
    return names.map((name, i) => {
      const { buffer, byteOffset, byteLength } = results[`values${i}`]!.data as Float32Array;
      const dims = [...(results[`shape${i}`]!.data as Int32Array)];
      const rawData = new Uint8Array(buffer, byteOffset, byteLength);
      return { name, dims, dataType: ElementType.float32, rawData };
    });
  } finally {
    await session.release();
  }
}
