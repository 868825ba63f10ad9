import { InexactModelError, UnsupportedNodeError } from '../errors.js';
import type { AxisStep } from '../network/axis/steps.js';
import type { Constant } from './constant.js';
import type { Attribute, OnnxNode } from './onnx-file.js';
import {
  type Axis,
  type Compute,
  dimsOf,
  type Ending,
  type GraphValue,
  type ImageValue,
  type ImportedNode,
  isSpaced,
  type Weight,
} from './values.js';

/** The order in which ONNX's convolutions have an image. */
export const NCHW: readonly Axis[] = ['n', 'c', 'h', 'w'];

/** The longest side of a map, in px, for images of a few hundred: what claims more is not a network. */
const MAX_SIDE = 1 << 16;

/** A node whose maps do not fit each other at one size of the image. */
export class MisfitError extends UnsupportedNodeError {}

/** What an operator becomes; what is left out is as the first image has it. */
export interface Emitted {
  readonly images: readonly ImageValue[];
  readonly axes?: readonly Axis[];
  readonly channels?: number;
  /** Default: it computes px by px. */
  readonly steps?: readonly [down: AxisStep, across: AxisStep];
  readonly weights?: readonly Weight[];
  /** All that `compute` depends on. */
  readonly parameters?: unknown;
  readonly ending?: Ending;
  readonly inexact?: string;
  readonly compute: Compute;
}

/** One node while its operator is looked up: what it reads, its attributes, and how it is refused. */
export class NodeContext {
  /** @param record takes what the node becomes, and returns the id of its map */
  constructor(
    readonly node: OnnxNode,
    readonly opset: number,
    /** Whether operators that are not exact may be used, for one tile size. */
    readonly isApproximate: boolean,
    readonly values: readonly (GraphValue | null)[],
    private readonly record: (node: Omit<ImportedNode, 'output'>) => number,
  ) {}

  get count(): number {
    return this.values.length;
  }

  /** The attributes that were looked up: what a node states beside them would be ignored. */
  readonly #known = new Set<string>();

  has(name: string): boolean {
    this.#known.add(name);
    return this.node.attributes.has(name);
  }

  attribute(name: string): Attribute {
    this.#known.add(name);
    return this.node.attributes.get(name) ?? {};
  }

  /** Names attributes that change nothing of what is computed here. */
  disregard(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  /** Refuses attributes that its operator has not looked up. */
  refuseOthers(): void {
    const other = [...this.node.attributes.keys()].find((name) => !this.#known.has(name));
    if (other !== undefined) this.unsupported(`its attribute "${other}" is not supported`);
  }

  /** Refuses an attribute that is another than the only one that is supported. */
  only(name: string, supported: number | string): void {
    const stated = typeof supported === 'number' ? this.int(name, supported) : this.string(name, supported);
    if (stated !== supported) this.unsupported(`its ${name} is ${stated}; only ${supported} is supported`);
  }

  /** Refuses inputs from this one on. */
  refuseInputs(from: number): void {
    if (this.values.slice(from).some((value) => value !== null))
      this.unsupported(`it has more than ${from} inputs`);
  }

  int(name: string, otherwise: number): number {
    return this.has(name) ? this.attribute(name).i! : otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.has(name) ? this.attribute(name).f! : otherwise;
  }

  string(name: string, otherwise: string): string {
    return this.attribute(name).s ?? otherwise;
  }

  ints(name: string): readonly number[] | null {
    return this.attribute(name).ints ?? null;
  }

  /** The map that it reads at a place. */
  image(i: number): ImageValue {
    const value = this.values[i];
    if (value?.kind === 'image') return value;
    if (value?.kind === 'mixed') {
      if (value.parts || isSpaced(value.dims, value.image)) {
        const { length } = value.dims;
        return this.unsupported(`it reads ${length} dimensions, which "${value.by}" has made of an image`);
      }
      return this.inexact(`it mixes positions of the whole tile, which "${value.by}" has brought together`);
    }
    return this.unsupported(value ? `its input ${i} is a constant` : `it has no input ${i}`);
  }

  /** The map that it reads at a place, in ONNX's order of channels, rows and columns. */
  nchw(i: number): ImageValue {
    const image = this.image(i);
    if (image.axes.join() === NCHW.join()) return image;
    return this.unsupported(
      `it reads its image as [${image.axes.join(', ')}]; only [n, c, h, w] is supported`,
    );
  }

  /** The constant that it reads at a place; null where that is left out. */
  constant(i: number): Constant | null {
    const value = this.values[i];
    if (!value) return null;
    if (value.kind === 'constant') return value.constant;
    return this.unsupported(`its input ${i} is computed from the image; only constants are supported`);
  }

  required(i: number): Constant {
    return this.constant(i) ?? this.unsupported(`it has no input ${i}`);
  }

  /** An attribute of older versions, or the constant input of newer ones. */
  list(name: string, input: number): number[] | null {
    if (this.constant(input)) return this.integers(input);
    const ints = this.ints(name);
    return ints && [...ints];
  }

  /** The whole numbers that it reads at a place: a shape, axes, indices. */
  integers(i: number): number[] {
    const numbers = Array.from(this.required(i).values);
    if (numbers.every(Number.isInteger)) return numbers;
    return this.unsupported(`its input ${i} has numbers that are not whole`);
  }

  emit(emitted: Emitted): ImageValue {
    const [first] = emitted.images as [ImageValue];
    const { axes = first.axes, channels = first.channels, steps, weights = [], ending, inexact } = emitted;
    const length = (axis: 0 | 1) => steps?.[axis].at(first.sizes[axis]).length ?? first.sizes[axis];
    const sizes = [length(0), length(1)] as const;
    if (!sizes.every((px) => px >= 1 && px <= MAX_SIDE))
      this.misfit(`its output has ${sizes[0]} × ${sizes[1]} px`);
    const id = this.record({
      name: this.node.name,
      opType: this.node.opType,
      inputs: emitted.images.map((image) => image.id),
      steps: steps ?? null,
      channels,
      sizes,
      weights,
      parameters: JSON.stringify(emitted.parameters ?? null),
      compute: emitted.compute,
      ...(ending && { ending }),
      ...(inexact !== undefined && { inexact }),
    });
    return { kind: 'image', id, axes, channels, sizes };
  }

  /** A value of constants, or of images, as messages name it. */
  dims(i: number): readonly number[] {
    const value = this.values[i];
    if (!value) return [];
    if (value.kind === 'constant') return value.constant.dims;
    return value.kind === 'image' ? dimsOf(value) : value.dims;
  }

  /** Refuses a node that cannot be computed. */
  unsupported(reason: string): never {
    throw new UnsupportedNodeError(this.node.name, this.node.opType, reason);
  }

  /** Refuses a node whose maps do not fit at this size of the image; at another one, they may. */
  misfit(reason: string): never {
    throw new MisfitError(this.node.name, this.node.opType, reason);
  }

  /** Refuses a node with which tiles differ from one pass. */
  inexact(reason: string): never {
    throw new InexactModelError(this.node.name, reason);
  }

  /** Refuses a node with which tiles differ from one pass, unless that is accepted for one tile size. */
  inexactUnlessApproximate(reason: string): string {
    return this.isApproximate ? reason : this.inexact(reason);
  }
}
