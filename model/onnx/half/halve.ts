import type * as ort from 'onnxruntime-node';
import { PrecisionError } from '../../errors.js';
import { ElementType, type Graph, type NodeProto } from '../proto.js';
import { MAX_HALF } from './float16.js';
import { foldNormalisations } from './fold-normalisations.js';
import { HalfWriter } from './half-writer.js';

/** The output of a frozen graph that is above 0 where numbers of 16 bits did not suffice. */
const OVERFLOW = 'overflow';

/**
 * A graph that computes with floats of 16 bits what they suffice for: see `policy.ts`. Its inputs and outputs stay what
 * they are, and so do the scaling of images, which has 16-bit pixels in it, softmax and loss.
 *
 * A number beyond 65,504 becomes infinite there, and convolutions spread it. Where one reaches the scores of a frozen
 * network, the graph says so in a further output: see `refuseOverflow`. A graph of a training has none, since its
 * gradients tell.
 * @throws PrecisionError for constants that 16 bits do not hold
 */
export function halve(graph: Graph, isFrozen: boolean): Graph {
  const source = isFrozen ? foldNormalisations(graph) : graph;
  const writer = new HalfWriter(source, isFrozen);
  for (const node of source.nodes) writer.add(node);
  const outputs = [...graph.outputs];
  if (isFrozen && writer.widened.length > 0) {
    const flag = overflowOf(writer);
    writer.nodes.push({ opType: 'Identity', input: [flag], output: [OVERFLOW], attributes: {} });
    outputs.push({ name: OVERFLOW, element: 'float32', dims: [] });
  }
  return prune({ inputs: graph.inputs, nodes: writer.nodes, initializers: writer.initializers, outputs });
}

/**
 * Refuses the results of a graph whose numbers exceeded 16 bits.
 * @throws PrecisionError
 */
export function refuseOverflow(results: ort.InferenceSession.OnnxValueMapType): void {
  const flag = results[OVERFLOW]?.data as Float32Array | undefined;
  if (flag === undefined || flag[0] === 0) return;
  throw new PrecisionError(
    `the network computed a number above ${MAX_HALF}, which --precision fp16 does not hold: choose fp32`,
  );
}

/** By comparisons, which devices compute as they are specified: they may assume that arithmetic yields no NaN. */
function overflowOf(writer: HalfWriter): string {
  const limit = writer.constant('float32', Float32Array.of(MAX_HALF));
  const flags = writer.widened.map((name) => {
    const fits = writer.op('Less', [writer.op('Abs', [name]), limit]);
    const flag = writer.op('Cast', [writer.op('Not', [fits])], { to: ElementType.float32 });
    return writer.op('ReduceMax', [flag], { keepdims: 0 });
  });
  return flags.reduce((sum, flag) => writer.op('Add', [sum, flag]));
}

/** Without what no output depends on. */
function prune({ nodes, initializers, inputs, outputs }: Graph): Graph {
  const needed = new Set(outputs.map(({ name }) => name));
  const kept: NodeProto[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => needed.has(name))) continue;
    kept.push(node);
    for (const name of node.input) needed.add(name);
  }
  return {
    inputs,
    nodes: kept.reverse(),
    initializers: initializers.filter(({ name }) => needed.has(name)),
    outputs,
  };
}
