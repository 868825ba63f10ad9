import type { Graph, NodeProto } from '../proto.js';
import { foldNormalisations } from './fold-normalisations.js';
import { HalfWriter } from './half-writer.js';
import { OVERFLOW, overflowOf } from './overflow.js';

/**
 * A graph that computes with floats of 16 bits what they suffice for: see `policy.ts`. Its inputs and outputs stay what
 * they are, and so do the scaling of images, which has 16-bit pixels in it, softmax and loss.
 *
 * A number beyond 65,504 becomes infinite there, and stays so until it leaves the 16 bits: see `overflow.ts`. A graph of a
 * frozen network says so in a further output. One of a training has none, since its gradients tell.
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
