import type { TileGeometry } from '../network/geometry.js';
import type { Graph, ValueInfo } from '../onnx/proto.js';
import { GraphWriter } from '../onnx/writer.js';

/** Names of the input and the output of an exported graph, and of a package's tensors. */
export const INPUT = 'image';
export const OUTPUT = 'probabilities';

/** The least normal float: serving computes no probabilities below it, but zero. */
const LEAST = 2 ** -126;

/** The shortest side of an image that is mirrored without folding it more than once. */
export function shortestSide(geometry: TileGeometry): number {
  const { halo, multiple } = geometry;
  const most = Math.max(halo.top, halo.left, halo.bottom, halo.right) + 2 * multiple;
  const fits = (side: number) =>
    (['rows', 'columns'] as const).every((axis) => {
      const { before, after } = paddingOf(geometry, axis, side);
      return before < side && after < side;
    });
  let shortest = Math.max(geometry.smallest, most);
  while (shortest > 1 && fits(shortest - 1)) shortest--;
  return shortest;
}

/** The px by which an image of this side is mirrored at its start and at its end. */
export function paddingOf(
  { halo, multiple, smallest }: TileGeometry,
  axis: 'rows' | 'columns',
  side: number,
): { readonly before: number; readonly after: number } {
  const [before, behind] = axis === 'rows' ? [halo.top, halo.bottom] : [halo.left, halo.right];
  const missing = Math.max(0, before + side + behind - smallest);
  const padded = smallest + Math.ceil(missing / multiple) * multiple;
  return { before, after: padded - before - side };
}

/**
 * The graph of a network that sees images with their halo, as one of images `[batch, height, width, channels]` of any size
 * that are at least `shortestSide` long and wide: it mirrors them at their borders, and returns as many px as it gets.
 *
 * @param graph one input `i0`, of images or, of one channel, in NCHW; one output `o0`, `[batch, height, width, values]`
 */
export function mirrored(graph: Graph, geometry: TileGeometry, channels: number, values: number): Graph {
  const g = new GraphWriter(null, true, 'mirror_');
  const { halo, multiple, smallest } = geometry;
  const shape = g.op('Shape', [INPUT]);
  const [height, width] = [1, 2].map((axis) => g.op('Slice', [shape, g.ints([axis]), g.ints([axis + 1])]));
  const after = (side: string, before: number, behind: number): string => {
    const missing = g.op('Max', [g.op('Add', [side, g.ints([before + behind - smallest])]), g.ints([0])]);
    const steps = g.op('Div', [g.op('Add', [missing, g.ints([multiple - 1])]), g.ints([multiple])]);
    const padded = g.op('Add', [g.op('Mul', [steps, g.ints([multiple])]), g.ints([smallest - before])]);
    return g.op('Sub', [padded, side]);
  };
  const ends = [after(height!, halo.top, halo.bottom), after(width!, halo.left, halo.right)];
  const pads = g.op('Concat', [g.ints([0, halo.top, halo.left, 0, 0]), ...ends, g.ints([0])], { axis: 0 });
  const larger = g.op('Pad', [INPUT, pads], { mode: 'reflect' });
  const [input] = graph.inputs as [ValueInfo];
  const isGray = channels === 1;
  const entrance = isGray ? g.op('Transpose', [larger], { perm: [0, 3, 1, 2] }) : larger;
  const crop = [g.ints([0, 0]), g.op('Concat', [height!, width!], { axis: 0 }), g.ints([1, 2])];

  const rename = (name: string) => (name === input.name ? entrance : name === 'o0' ? 'whole' : name);
  const nodes = graph.nodes.map((node) => ({
    ...node,
    input: node.input.map((name) => (name === '' ? '' : rename(name))),
    output: node.output.map(rename),
  }));
  const initializers = graph.initializers.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  const end = [
    { opType: 'Slice', input: ['whole', ...crop], output: ['cropped'], attributes: {} },
    {
      opType: 'ThresholdedRelu',
      input: ['cropped'],
      output: [OUTPUT],
      attributes: { alpha: { float: LEAST } },
    },
  ];
  const images = (name: string, last: number): ValueInfo => {
    return { name, element: 'float32', dims: ['batch', 'height', 'width', last] };
  };
  return {
    nodes: [...g.nodes, ...nodes, ...end],
    initializers: [...g.initializers, ...initializers],
    inputs: [images(INPUT, channels)],
    outputs: [images(OUTPUT, values)],
  };
}
