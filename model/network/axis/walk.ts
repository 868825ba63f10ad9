import { InexactModelError } from '../../errors.js';
import { isSame, leastCommonMultiple, ONE, type Rational, times } from './rational.js';
import type { AxisStep } from './steps.js';

/** An operator of a network, as its geometry knows it. */
export interface GeometryNode {
  /** The operator's name, by which it is refused. */
  readonly name: string;
  /** Ids of the maps that it reads, and of the one that it computes. */
  readonly inputs: readonly number[];
  readonly output: number;
  /** Along rows and columns; null where px of the output depend on the same px of all inputs alone. */
  readonly steps: readonly [down: AxisStep, across: AxisStep] | null;
}

/** A network between the map that is the image and the one that it returns, in order of computation. */
export interface GeometryGraph {
  readonly nodes: readonly GeometryNode[];
  readonly input: number;
  readonly output: number;
}

/** A feature map along one axis, for an image of one length. */
interface Map1D {
  readonly length: number;
  /** Px at either end that depend on padding, or on the border repeated. */
  readonly front: number;
  readonly back: number;
  /** Px of the image in front of its first px; may be a fraction. */
  readonly offset: number;
}

/** What a network makes of an image along one axis. */
export interface AxisResult {
  /** Px of the image that a tile reads around those that it owns. */
  readonly before: number;
  readonly after: number;
  /** Px of the output at either end that depend on padding. */
  readonly front: number;
  readonly back: number;
  /** Px that the network returns less than it reads. */
  readonly cut: number;
  /** The length of its shortest map. */
  readonly least: number;
}

/** The distance of neighbouring px of each map, in px of the image; the same along both axes or refused. */
export function scalesOf({ nodes, input }: GeometryGraph, axis: 0 | 1): ReadonlyMap<number, Rational> {
  const scales = new Map<number, Rational>([[input, ONE]]);
  for (const { name, inputs, output, steps } of nodes) {
    const [scale, ...others] = inputs.map((id) => scales.get(id)!) as [Rational, ...Rational[]];
    if (!others.every((other) => isSame(other, scale))) {
      throw new InexactModelError(name, 'it joins feature maps that are not aligned');
    }
    scales.set(output, steps === null ? scale : times(scale, steps[axis].scale));
  }
  return scales;
}

/** What tiles must be aligned to: every map has a px at each multiple of it. */
export function multipleOf(scales: ReadonlyMap<number, Rational>): number {
  return [...scales.values()].map(({ over }) => over).reduce(leastCommonMultiple, 1);
}

/**
 * Follows an image of one length through a network, along one axis.
 * @returns the name of a node instead, where it joins maps of different lengths
 */
export function walkAxis(
  { nodes, input, output }: GeometryGraph,
  axis: 0 | 1,
  length: number,
  scales: ReadonlyMap<number, Rational>,
): AxisResult | string {
  const maps = new Map<number, Map1D>([[input, { length, front: 0, back: 0, offset: 0 }]]);
  let least = length;
  for (const { name, inputs, output: id, steps } of nodes) {
    const read = inputs.map((input) => maps.get(input)!);
    const [x] = read as [Map1D];
    if (read.some((other) => other.length !== x.length)) return name;
    const scale = scales.get(inputs[0]!)!;
    const y = steps === null ? join(read) : placed(x, steps[axis], scale.over / scale.under);
    least = Math.min(least, y.length);
    maps.set(id, y);
  }
  const final = maps.get(output)!;
  const cut = length - final.length;
  // a network that returns as many px as it reads is meant to return those: strides may shift its maps by less than one
  const offset = cut === 0 ? 0 : Math.round(final.offset);
  const front = Math.max(final.front, -offset);
  const back = Math.max(final.back, offset - cut);
  return { before: offset + front, after: cut - offset + back, front, back, cut, least };
}

function join(maps: readonly Map1D[]): Map1D {
  const most = (end: 'front' | 'back') => Math.max(...maps.map((map) => map[end]));
  return { ...maps[0]!, front: most('front'), back: most('back') };
}

/** The map that a step computes: its px at the ends are those that read any which are at the ends of its input. */
function placed(x: Map1D, step: AxisStep, scale: number): Map1D {
  const { length, first, last, shift } = step.at(x.length);
  let front = 0;
  while (front < length && first(front) < x.front) front++;
  let back = 0;
  while (back < length && last(length - 1 - back) > x.length - 1 - x.back) back++;
  return { length, front, back, offset: x.offset + shift * scale };
}
