import { InexactModelError, ModelChoiceError, ModelError, OnnxFileError } from '../errors.js';
import { solveGeometry } from '../network/axis/solve.js';
import { otherChannels } from '../network/channel-text.js';
import type { Margins, TileGeometry } from '../network/geometry.js';
import { MAX_INPUT_CHANNELS } from '../network/normalisation.js';
import { inPhase, phasedAs } from '../network/phase.js';
import { PROBED_SIDES } from '../network/probed-sides.js';
import type { ScoreKind } from '../network/score-kind.js';
import { geometryBesideInexact, narrowed } from './approximate-geometry.js';
import type { Constant } from './constant.js';
import { type LoweredGraph, type LoweringOptions, lower } from './lower.js';
import { ImportedNetwork } from './network.js';
import { MisfitError } from './node-context.js';
import { type OnnxGraph, type OnnxNode, type OnnxValue, readOnnx } from './onnx-file.js';
import type { Axis, ImportedNode } from './values.js';

export interface ImportOptions {
  /** Channels of the image, where the file leaves them open. */
  readonly channels?: number;
  /** Channels that are named for the image: a file of another number is refused at once. Default: not known. */
  readonly namedChannels?: number;
  /** What the output means, where the graph does not end in a softmax or a sigmoid. Default: logits. */
  readonly scores?: ScoreKind;
  /**
   * Accepts nodes that are not exact: the network then has tiles of this side alone, in px. Default: they are refused.
   */
  readonly approximateSide?: number;
  /** How many classes a card names; see `haveOwnBackground`. Default: not known. */
  readonly classes?: number;
  /** The halo that a card states; see `phasedAs`. Default: that of a pass over the image alone. */
  readonly halo?: Margins;
}

const NCHW: readonly Axis[] = ['n', 'c', 'h', 'w'];
const NHWC: readonly Axis[] = ['n', 'h', 'w', 'c'];

/**
 * Imports the network of an ONNX file: its shapes are folded, and its geometry derived.
 * @throws OnnxFileError, UnsupportedNodeError, InexactModelError; ModelChoiceError for other channels than are named
 */
export function importOnnx(bytes: Uint8Array, options: ImportOptions = {}): ImportedNetwork {
  const graph = readOnnx(bytes);
  const { output, ...read } = ioOf(graph, options);
  const { approximateSide } = options;
  const base = {
    output,
    axes: read.axes,
    channels: read.channels,
    isApproximate: approximateSide !== undefined,
  };
  if (approximateSide !== undefined) {
    const inexact = lowerApproximately(graph, base, read.fixed, approximateSide);
    return new ImportedNetwork(
      inexact.graph,
      inexact.geometry,
      inexact.reach,
      read.fixed !== null,
      read.channels,
      options.scores ?? null,
      options.classes,
    );
  }
  const lowered =
    read.fixed === null ? lowerAtSome(graph, base) : lower(graph, { ...base, sizes: read.fixed });
  const derived = solveGeometry(lowered);
  const geometry = phasedAs(derived, options.halo);
  if (read.fixed === null) checkSizes(graph, base, lowered, geometry);
  return new ImportedNetwork(
    lowered,
    geometry,
    derived.halo,
    read.fixed !== null,
    read.channels,
    options.scores ?? null,
    options.classes,
  );
}

/** The input and the output of a graph, which must be one image each. @throws OnnxFileError */
function ioOf(
  graph: OnnxGraph,
  options: ImportOptions,
): {
  readonly output: string;
  readonly axes: readonly Axis[];
  readonly channels: number;
  /** Rows and columns, where the file fixes them. */
  readonly fixed: readonly [number, number] | null;
} {
  const names = (values: readonly OnnxValue[]) => values.map(({ name }) => `"${name}"`).join(', ');
  const [input, ...others] = graph.inputs;
  if (!input || others.length > 0) {
    throw new OnnxFileError(
      `it has the inputs ${names(graph.inputs) || 'none'}; only one image is supported`,
    );
  }
  const { dims } = input;
  if (dims !== null && dims.length !== 4) {
    throw new OnnxFileError(
      `its input "${input.name}" has ${dims.length} dimensions; only images, of 4 (batch, channels, rows, columns), are supported`,
    );
  }
  const [first] = graph.nodes;
  const axes = hasChannelsLast(graph, input) ? NHWC : NCHW;
  const of = (axis: Axis) => dims?.[axes.indexOf(axis)] ?? null;
  const channels = of('c') ?? options.channels ?? channelsOfFilter(graph, input.name);
  if (channels === null || first === undefined) {
    throw new OnnxFileError(
      `it does not say how many channels its input "${input.name}" has: name them with --image-channels`,
    );
  }
  const { namedChannels = channels } = options;
  if (namedChannels !== channels) {
    throw new ModelChoiceError(otherChannels(channels, namedChannels));
  }
  const output = graph.outputs[0]?.name;
  if (output === undefined || graph.outputs.length > 1) {
    throw new OnnxFileError(`it has the outputs ${names(graph.outputs)}: choose one with --output`);
  }
  if (!graph.nodes.some(({ outputs }) => outputs.includes(output))) {
    throw new OnnxFileError(`it has no output "${output}"; its outputs are ${names(graph.outputs)}`);
  }
  const [rows, columns] = [of('h'), of('w')];
  return { output, axes, channels, fixed: rows !== null && columns !== null ? [rows, columns] : null };
}

/** Whether an image's channels come last: it is transposed first, or only its last dimension may be one of channels. */
function hasChannelsLast({ nodes }: OnnxGraph, { name, dims }: OnnxValue): boolean {
  const readers = nodes.filter(({ inputs }) => inputs.includes(name));
  const isRead = (test: (node: OnnxNode) => boolean) => readers.length > 0 && readers.every(test);
  if (isRead((n) => n.opType === 'Transpose' && n.attributes.get('perm')?.ints?.join() === '0,3,1,2'))
    return true;
  const [, second = null, third = null, last = null] = dims ?? [];
  if (last === null || last > MAX_INPUT_CHANNELS || (third !== null && third <= last)) return false;
  if (second === null || second > MAX_INPUT_CHANNELS) return true;
  // of one channel, a transpose may be written as a new shape
  return last === 1 && second !== 1 && isRead(({ opType }) => opType === 'Reshape' || opType === 'Unsqueeze');
}

/** The channels that the first convolution of the image reads. */
function channelsOfFilter({ nodes, constants }: OnnxGraph, input: string): number | null {
  const conv = nodes.find(({ opType, inputs }) => opType === 'Conv' && inputs[0] === input);
  return constants.get(conv?.inputs[1] ?? '')?.dims[1] ?? null;
}

type Base = Omit<LoweringOptions, 'sizes'>;

/** Lowers a graph with an image of some size that it fits. @throws the error of the first size, if it fits none */
function lowerAtSome(graph: OnnxGraph, base: Base): LoweredGraph {
  let error: unknown = null;
  for (const side of PROBED_SIDES) {
    try {
      return lower(graph, { ...base, sizes: [side, side] });
    } catch (cause) {
      if (!(cause instanceof MisfitError)) throw cause; // what is refused for another reason is so at every size
      error ??= cause;
    }
  }
  throw error;
}

/**
 * Compares what the graph does with images of other sizes, up to those of large tiles: where shapes decide what is
 * computed, and with which numbers, they may decide otherwise there.
 * @throws InexactModelError
 */
function checkSizes(
  graph: OnnxGraph,
  base: Base,
  expected: LoweredGraph,
  { smallest, multiple }: TileGeometry,
): void {
  for (const sizes of [
    [smallest, smallest + 3 * multiple],
    [smallest + 5 * multiple, smallest + multiple],
    [smallest + Math.ceil(1000 / multiple) * multiple, smallest + Math.ceil(4000 / multiple) * multiple],
  ] as const) {
    let found: LoweredGraph;
    try {
      found = lower(graph, { ...base, sizes });
    } catch (cause) {
      if (!(cause instanceof ModelError)) throw cause;
      throw new InexactModelError(
        'node' in cause ? String(cause.node) : 'network',
        `a tile of ${sizes[1]} × ${sizes[0]} px: ${cause.message}`,
      );
    }
    const at = expected.nodes.findIndex((node, i) => !isEqual(node, found.nodes[i]));
    if (at >= 0 || found.nodes.length !== expected.nodes.length) {
      const { name } = expected.nodes[Math.max(0, at)]!;
      throw new InexactModelError(name, 'what it does depends on the size of the image');
    }
  }
}

/** Whether two operators compute the same. */
function isEqual(a: ImportedNode, b: ImportedNode | undefined): boolean {
  const signature = ({ name, opType, inputs, channels, parameters }: ImportedNode) =>
    JSON.stringify([name, opType, inputs, channels, parameters]);
  if (b === undefined || signature(a) !== signature(b) || a.weights.length !== b.weights.length) return false;
  return a.weights.every(({ of }, i) => isEqualConstant(of, b.weights[i]!.of));
}

/** Those of the file are the same object; others were folded, and may follow from the size of the image. */
function isEqualConstant(a: Constant, b: Constant): boolean {
  if (a === b) return true;
  return a.dims.join() === b.dims.join() && a.values.every((value, i) => Object.is(value, b.values[i]));
}

/**
 * Lowers a graph that is not exact, for tiles of one size: that of the file, or else the least from the requested side on
 * that fits and has px beside its halo.
 */
function lowerApproximately(
  graph: OnnxGraph,
  base: Base,
  fixed: readonly [number, number] | null,
  side: number,
): { readonly graph: LoweredGraph; readonly geometry: TileGeometry; readonly reach: Margins } {
  if (fixed !== null && fixed[0] !== fixed[1]) {
    throw new OnnxFileError(
      `its images have ${fixed[1]} × ${fixed[0]} px; one that is not exact has square tiles`,
    );
  }
  const first = fixed === null ? lowerAtSome(graph, base) : lower(graph, { ...base, sizes: fixed });
  const derived = geometryBesideInexact(first);
  const geometry = inPhase(derived);
  const { smallest, multiple } = geometry;
  const fitting = smallest + Math.ceil((side - smallest) / multiple) * multiple;
  const own = fixed?.[0] ?? fitting;
  const lowered = own === first.sizes[0] ? first : lower(graph, { ...base, sizes: [own, own] });
  return {
    graph: lowered,
    geometry: { ...narrowed(geometry, own), smallest: own, tileable: false },
    reach: derived.halo,
  };
}
