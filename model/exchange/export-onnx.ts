import tf = require('@tensorflow/tfjs-core');

import { activationOf } from '../network/score-kind.js';
import type { TileModel } from '../network/tile-model.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { foldConstants } from '../onnx/fold-constants.js';
import { encodeModel, type Graph } from '../onnx/proto.js';
import { INPUT, mirrored, OUTPUT } from './mirrored-graph.js';

/**
 * Channels in a block of the graph that an exported one agrees with, bit for bit: those of processors with 512-bit vectors.
 * It is always the same, so that the bytes of an export depend on no machine.
 */
const BLOCK = 16;

/** What an exported graph computes. */
export interface OnnxForm {
  /**
   * `whole`: images `[batch, height, width, channels]` of stored values, mirrored at their borders, to probabilities
   * `[batch, height, width, classes]` of each px. `bare`: the network alone, in NCHW, from intensities to probabilities, or
   * of one sigmoid to the second class's.
   */
  readonly kind: 'whole' | 'bare';
  /** The stored value of black, and that of white, which the network sees as 0 and 1; null where it sees stored values. */
  readonly range: readonly [low: number, high: number] | null;
}

/**
 * A network as an ONNX model of ONNX's own operators. The network is frozen: its weights must not change afterwards.
 * @param classes those that probabilities are of
 */
export async function exportOnnx(
  network: TileModel,
  backend: OnnxBackend,
  { kind, range }: OnnxForm,
  classes: number,
): Promise<Uint8Array> {
  const { geometry, head, inputChannels } = network;
  await backend.freeze(network.weights);
  const compute = ([stored]: readonly tf.Tensor[]): tf.Tensor => {
    const x = range === null ? stored! : toIntensities(stored!, range);
    const scores = network.scores(x as tf.Tensor4D);
    return kind === 'bare' ? scores : head.probabilities(cropped(scores, geometry.padded));
  };
  const trace = backend.trace([[1, geometry.smallest, geometry.smallest, inputChannels]], compute);
  const graph = await foldConstants(trace.portable(kind === 'whole' ? BLOCK : null));
  if (kind === 'whole') return encodeModel(mirrored(graph, geometry, inputChannels, classes));
  return encodeModel(withChannelsFirst(graph, network));
}

/** The same operations as those of serving, whose bits are to be the same. */
function toIntensities(stored: tf.Tensor, [low, high]: readonly [number, number]): tf.Tensor {
  const above = low === 0 ? stored : tf.sub(stored, tf.scalar(low));
  return tf.div(above, tf.scalar(high - low));
}

function cropped(
  scores: tf.Tensor4D,
  { top, left, bottom, right }: TileModel['geometry']['padded'],
): tf.Tensor4D {
  if (top + left + bottom + right === 0) return scores;
  const [count, height, width, channels] = scores.shape;
  return tf.slice(scores, [0, top, left, 0], [count, height - top - bottom, width - left - right, channels]);
}

/** A graph of images and scores in NHWC as one in NCHW, which ends in the head of the network. */
function withChannelsFirst(graph: Graph, { head, inputChannels, outputChannels }: TileModel): Graph {
  const toFirst = { perm: [0, 3, 1, 2] };
  const nodes = [];
  const entrance = inputChannels === 1 ? INPUT : 'channels_last';
  if (inputChannels > 1) {
    nodes.push({
      opType: 'Transpose',
      input: [INPUT],
      output: [entrance],
      attributes: { perm: [0, 2, 3, 1] },
    });
  }
  for (const node of graph.nodes) {
    nodes.push({ ...node, input: node.input.map((name) => (name === 'i0' ? entrance : name)) });
  }
  const ending = activationOf(head.kind);
  nodes.push({
    opType: 'Transpose',
    input: ['o0'],
    output: [ending === null ? OUTPUT : 'scores'],
    attributes: toFirst,
  });
  if (ending !== null) {
    const [opType, attributes] = ending === 'softmax' ? ['Softmax', { axis: 1 }] : ['Sigmoid', {}];
    nodes.push({
      opType: opType as string,
      input: ['scores'],
      output: [OUTPUT],
      attributes: attributes as object,
    });
  }
  const dims = (channels: number) => ['batch', channels, 'height', 'width'] as const;
  const outputs = ['batch', outputChannels, 'out_height', 'out_width'] as const;
  return {
    nodes: withoutTransposes(nodes as Graph['nodes']),
    initializers: graph.initializers,
    inputs: [{ name: INPUT, element: 'float32', dims: dims(inputChannels) }],
    outputs: [{ name: OUTPUT, element: 'float32', dims: outputs }],
  };
}

/** Removes copies, and transposes that undo the one before them. */
function withoutTransposes(nodes: Graph['nodes']): Graph['nodes'] {
  const sources = new Map<string, { readonly name: string; readonly perm: readonly number[] }>();
  const names = new Map<string, string>();
  const kept: Graph['nodes'][number][] = [];
  for (const node of nodes) {
    const input = node.input.map((name) => names.get(name) ?? name);
    const [output] = node.output as [string];
    if (node.opType === 'Identity') {
      names.set(output, input[0]!);
      continue;
    }
    if (node.opType === 'Transpose') {
      const perm = node.attributes.perm as readonly number[];
      const source = sources.get(input[0]!);
      if (source && perm.every((dim, i) => source.perm[dim] === i)) {
        names.set(output, source.name);
        continue;
      }
      sources.set(output, { name: input[0]!, perm });
    }
    kept.push({ ...node, input });
  }
  const read = new Set(kept.flatMap(({ input }) => input));
  return kept.filter(({ output }) => output.some((name) => read.has(name) || name === OUTPUT));
}
