import { UnsupportedNodeError } from '../errors.js';
import type { GeometryGraph } from '../network/axis/walk.js';
import type { Constant } from './constant.js';
import { Folding } from './fold.js';
import { NodeContext } from './node-context.js';
import type { OnnxGraph, OnnxNode } from './onnx-file.js';
import { lowerNode } from './operators/table.js';
import { shapeOf } from './shapes.js';
import {
  type Axis,
  dimsOf,
  type GraphValue,
  type ImageValue,
  type ImportedNode,
  INPUT_ID,
} from './values.js';

export interface LoweringOptions {
  /** The output that is the network's. */
  readonly output: string;
  readonly axes: readonly Axis[];
  readonly channels: number;
  /** Of the image that shapes are computed for. */
  readonly sizes: readonly [height: number, width: number];
  /** Whether nodes that are not exact are accepted, for this size alone. */
  readonly isApproximate: boolean;
}

/** A graph of operators on images, for images of every size that it fits. */
export interface LoweredGraph extends GeometryGraph {
  readonly nodes: readonly ImportedNode[];
  /** What the network returns. */
  readonly result: ImageValue;
  /** Of the image that its shapes were computed for. */
  readonly sizes: readonly [height: number, width: number];
}

/**
 * Computes what a graph does with images of one size: whatever follows from shapes and weights alone is folded, and each
 * other node becomes an operator on images whose parameters do not depend on their size.
 * @throws UnsupportedNodeError, InexactModelError by the node's name
 */
export function lower(graph: OnnxGraph, options: LoweringOptions): LoweredGraph {
  const { channels, sizes, isApproximate } = options;
  const values = new Map<string, GraphValue>();
  for (const [name, constant] of graph.constants) values.set(name, { kind: 'constant', constant });
  const input = graph.inputs[0]!.name;
  values.set(input, { kind: 'image', id: INPUT_ID, axes: options.axes, channels, sizes });
  const nodes: ImportedNode[] = [];
  const folding = new Folding();
  let ids = INPUT_ID;
  const record = (node: Omit<ImportedNode, 'output'>): number => {
    const output = ++ids;
    nodes.push({ ...node, output });
    return output;
  };
  for (const node of needed(graph, options.output)) {
    const read = node.inputs.map((name) => (name === '' ? null : (values.get(name) ?? missing(node, name))));
    const results =
      computed(node, read, folding) ??
      lowerNode(new NodeContext(node, graph.opset, isApproximate, read, record));
    for (const [i, name] of node.outputs.entries()) {
      const result = results[i];
      if (name !== '' && result) values.set(name, result);
    }
  }
  const result = values.get(options.output);
  if (result?.kind !== 'image') {
    const [last] = graph.nodes.slice(-1) as [OnnxNode];
    throw new UnsupportedNodeError(last.name, last.opType, `the output "${options.output}" is not an image`);
  }
  return { nodes: reached(nodes, result.id), input: INPUT_ID, output: result.id, result, sizes };
}

function missing(node: OnnxNode, name: string): never {
  throw new UnsupportedNodeError(
    node.name,
    node.opType,
    `it reads "${name}", which nothing before it computes`,
  );
}

/** The result of a node that reads constants, or the shapes of images; null for others. */
function computed(
  node: OnnxNode,
  read: readonly (GraphValue | null)[],
  folding: Folding,
): GraphValue[] | null {
  const [first] = read;
  if (node.opType === 'Shape' && first && first.kind !== 'constant') {
    return [
      { kind: 'constant', constant: shapeOf(first.kind === 'image' ? dimsOf(first) : first.dims, node) },
    ];
  }
  const constants: (Constant | null)[] = [];
  for (const value of read) {
    if (value !== null && value.kind !== 'constant') return null;
    constants.push(value?.constant ?? null);
  }
  const folded = folding.fold(node, constants);
  if (folded === null) {
    throw new UnsupportedNodeError(
      node.name,
      node.opType,
      'it computes with constants in a way that is not supported; onnxsim or a newer exporter removes it',
    );
  }
  return folded.map((constant) => ({ kind: 'constant', constant }));
}

/** The nodes that an output depends on, in the order of the file, which is one of computation. */
function needed({ nodes }: OnnxGraph, output: string): OnnxNode[] {
  const names = new Set([output]);
  const found: OnnxNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => names.has(name))) continue;
    found.push(node);
    for (const name of node.inputs) names.add(name);
  }
  return found.reverse();
}

/** The operators that a map depends on. */
function reached(nodes: readonly ImportedNode[], output: number): ImportedNode[] {
  const ids = new Set([output]);
  const found = nodes.toReversed().filter((node) => {
    if (!ids.has(node.output)) return false;
    for (const id of node.inputs) ids.add(id);
    return true;
  });
  return found.reverse();
}
