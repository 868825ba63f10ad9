import tf = require('@tensorflow/tfjs-core');

import type { Margins, TileGeometry } from '../network/geometry.js';
import { Head } from '../network/head.js';
import type { LayerFacts } from '../network/layers.js';
import { haveOwnBackground, kindFor, type ScoreKind } from '../network/score-kind.js';
import type { TileModel } from '../network/tile-model.js';
import type { LoweredGraph } from './lower.js';
import { type ImportedNode, parametersOf } from './values.js';

/** The network of an ONNX graph. */
export class ImportedNetwork implements TileModel {
  readonly head: Head;
  /** What its output is, where the graph ends in what says so; null where it may be anything. */
  readonly ending: ScoreKind | null;
  readonly layers = null;
  readonly outputChannels: number;
  readonly weights: readonly tf.Tensor[];
  /** Up to the scores. */
  readonly #nodes: readonly ImportedNode[];
  /** What the graph ends in behind its scores, if anything. */
  readonly #ending: readonly ImportedNode[];
  /** The first of a node's weights. */
  readonly #places = new Map<ImportedNode, number>();
  /** The last node that reads a map. */
  readonly #lastReaders = new Map<number, ImportedNode>();
  readonly #scores: number;

  /**
   * @param graph up to what the file returns
   * @param reach how far px of the output depend on others; see `InspectedOnnx`
   * @param isOfOneSize whether the file fixes the size of its images
   * @param kind of the scores where the graph does not end in what says so
   * @param classes that a card names; see `haveOwnBackground`
   */
  constructor(
    private readonly graph: LoweredGraph,
    readonly geometry: TileGeometry,
    readonly reach: Margins,
    readonly isOfOneSize: boolean,
    readonly inputChannels: number,
    kind: ScoreKind | null,
    classes?: number,
  ) {
    const { nodes, ending, scores, found } = endingOf(graph, classes);
    this.#nodes = nodes;
    this.#ending = ending;
    this.#scores = scores;
    this.outputChannels = nodes.findLast(({ output }) => output === scores)?.channels ?? inputChannels;
    this.ending = found;
    const stated = kind ?? (this.outputChannels === 1 ? 'sigmoid' : 'softmax');
    this.head = new Head(found ?? kindFor(stated, this.outputChannels, classes));
    const weights: tf.Tensor[] = [];
    for (const node of graph.nodes) {
      this.#places.set(node, weights.length);
      // scalars are written where they are used: they are part of a graph's structure
      for (const { shape, read } of node.weights) {
        if (shape.length > 0) weights.push(tf.tensor(read(), [...shape]));
      }
      for (const id of node.inputs) this.#lastReaders.set(id, node);
    }
    this.weights = weights;
  }

  get parameters(): number {
    return this.graph.nodes.reduce((sum, { weights }) => sum + parametersOf(weights), 0);
  }

  /**
   * Floats of each px of the image that are alive at once, at most: maps that are needed later, at their own sizes.
   * Memory is estimated by them.
   */
  get floatsPerPixel(): number {
    const [rows, columns] = this.graph.sizes;
    const floats = new Map<number, number>([[this.graph.input, this.inputChannels]]);
    let most = 0;
    for (const { sizes, channels, inputs, output } of this.graph.nodes) {
      floats.set(output, (channels * sizes[0] * sizes[1]) / (rows * columns));
      most = Math.max(
        most,
        [...floats.values()].reduce((sum, n) => sum + n, 0),
      );
      for (const id of inputs) if (this.#lastReaders.get(id)?.output === output) floats.delete(id);
    }
    return most;
  }

  get facts(): LayerFacts[] {
    const names = new Map(this.graph.nodes.map(({ output, name }) => [output, name]));
    return this.graph.nodes.map(({ name, opType, sizes, channels, weights, inputs }) => ({
      name,
      kind: opType,
      shape: [...sizes, channels],
      parameters: parametersOf(weights),
      inputs: inputs.flatMap((id) => names.get(id) ?? []),
    }));
  }

  scores(x: tf.Tensor4D): tf.Tensor4D {
    return this.#run(this.#nodes, x, this.graph.input, this.#scores);
  }

  result(x: tf.Tensor4D): tf.Tensor4D {
    return this.#run(this.#ending, this.scores(x), this.#scores, this.graph.output);
  }

  dispose(): void {
    tf.dispose([...this.weights]);
  }

  /** Computes nodes one after the other; maps are freed once no later node reads them. */
  #run(nodes: readonly ImportedNode[], x: tf.Tensor4D, input: number, output: number): tf.Tensor4D {
    const maps = new Map([[input, x]]);
    for (const node of nodes) {
      const images = node.inputs.map((id) => maps.get(id)!);
      maps.set(node.output, node.compute(images, this.#weightsOf(node)));
      for (const id of new Set(node.inputs)) {
        if (id === input || this.#lastReaders.get(id) !== node) continue;
        maps.get(id)!.dispose();
        maps.delete(id);
      }
    }
    return maps.get(output)!;
  }

  #weightsOf(node: ImportedNode): tf.Tensor[] {
    let at = this.#places.get(node)!;
    return node.weights.map(({ shape, read }) =>
      shape.length === 0 ? tf.scalar(read()[0]!) : this.weights[at++]!,
    );
  }
}

/**
 * Where a graph's scores are: in front of a softmax, a sigmoid or a comparison at its end. Several sigmoids that are
 * compared by the graph itself, or that are as many as the classes, are its scores.
 */
function endingOf(
  { nodes, input, output }: LoweredGraph,
  classes: number | undefined,
): {
  readonly nodes: readonly ImportedNode[];
  readonly ending: readonly ImportedNode[];
  readonly scores: number;
  readonly found: ScoreKind | null;
} {
  const ending: ImportedNode[] = [];
  let scores = output;
  let found: ScoreKind | null = null;
  for (;;) {
    const node = nodes.find((each) => each.output === scores);
    const kind = node?.ending;
    if (!node || !kind || node.inputs[0] === input) break;
    // a sigmoid of several channels says which of them a pixel has, not which one
    if (found !== null && kind !== 'argmax') break;
    if (kind === 'sigmoid' && node.channels > 1) {
      if (ending.length > 0 || haveOwnBackground(node.channels, classes)) {
        found = 'probabilities';
        break;
      }
    }
    ending.unshift(node);
    scores = node.inputs[0]!;
    if (kind !== 'argmax') {
      found = kind;
      break;
    }
  }
  return { nodes: nodes.filter((node) => !ending.includes(node)), ending, scores, found };
}
