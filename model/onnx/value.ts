import { type ElementName, NCHWC } from './proto.js';
import type { GraphWriter } from './writer.js';

/** Lengths of a tensor's dimensions, in TensorFlow.js's order: images are `[N, H, W, C]`. */
export type Shape = readonly number[];

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: ElementName;
}

/** How a tensor lies in memory, as a permutation of TensorFlow.js's dimensions. */
export type Layout = readonly number[];

/** Images: `[N, H, W, C]` stored as `[N, C, H, W]`, which ONNX convolves. */
export const NCHW: Layout = [0, 3, 1, 2];

/** Images in blocks of channels: no permutation, but handled as a layout like those; see `blocked.ts`. */
export const BLOCKED: Layout = [-1];

/**
 * A tensor whose nodes are written only when an operator needs it in a layout. Until then, one that reads it may write
 * cheaper nodes for both.
 */
export interface Deferred {
  /** What it is computed from, as an instance of a class that such operators know. */
  readonly origin: object;
  readonly write: () => Value;
}

/** An image that is only read: a tensor, or one that is written when it is read. */
export type Image = Pick<Value, 'as'>;

const plainLayout = (rank: number): Layout => Array.from({ length: rank }, (_, i) => i);

/**
 * One tensor in the graph that is being written, under every layout in which it exists so far.
 *
 * An operator requests the layout that it works in, and a Transpose is written only where that layout is
 * missing. So a chain of image operators stays in NCHW throughout, with a Transpose at its two ends.
 *
 * The tensor's shape is private: operators that depend on it declare that; see `ShapeBoundOperator`.
 */
export class Value {
  readonly #graph: GraphWriter;
  readonly #shape: Shape;
  /** Names in the graph, by layout. */
  #names = new Map<string, string>();
  /** Writes the nodes of a deferred tensor; null once they are written. */
  #write: (() => Value) | null = null;
  readonly rank: number;
  readonly dtype: ElementName;
  /** What a deferred tensor is computed from; null for others. */
  readonly origin: object | null;

  constructor(
    graph: GraphWriter,
    { shape, dtype }: TensorType,
    source: { readonly name: string; readonly layout?: Layout } | Deferred,
  ) {
    this.#graph = graph;
    this.#shape = shape;
    this.rank = shape.length;
    this.dtype = dtype;
    this.origin = 'origin' in source ? source.origin : null;
    if ('write' in source) this.#write = source.write;
    else this.#names.set((source.layout ?? plainLayout(this.rank)).join(), source.name);
  }

  /** The length of the last dimension: the channels of an image, which no graph leaves open. */
  get channels(): number {
    return this.#shape.at(-1)!;
  }

  /** Whether the tensor has one value for each channel, and no other dimensions than of length 1. */
  get isPerChannel(): boolean {
    return this.rank > 0 && this.#shape.slice(0, -1).every((length) => length === 1);
  }

  /** Whether the tensor exists in blocks of channels. */
  get isBlocked(): boolean {
    return this.#written.has(BLOCKED.join());
  }

  /** Whether the tensor exists in this layout, or can be converted to it without a permutation. */
  has(layout: Layout): boolean {
    return this.#written.has(layout.join()) || (layout === NCHW && this.isBlocked);
  }

  /**
   * Whether the tensor exists in blocks and has the shape of another one. Images of one network that have equal shapes
   * at one tile size have them at every other, so this reveals nothing to a graph with symbolic sizes.
   */
  isBlockedLike(other: Value): boolean {
    return this.isBlocked && this.#shape.join() === other.#shape.join();
  }

  /** The name of this tensor in TensorFlow.js's own layout. */
  get plain(): string {
    return this.as(plainLayout(this.rank));
  }

  /** The name of this tensor in the given layout. */
  as(layout: Layout): string {
    const key = layout.join();
    const known = this.#written.get(key);
    if (known !== undefined) return known;
    const name = this.#convert(layout);
    this.#names.set(key, name);
    return name;
  }

  /** The names in the graph, where the nodes of a deferred tensor are written now at the latest. */
  get #written(): Map<string, string> {
    if (this.#write !== null) {
      const write = this.#write;
      this.#write = null;
      this.#names = write().#names;
    }
    return this.#names;
  }

  #convert(layout: Layout): string {
    if (layout === BLOCKED) return this.#graph.op(`${NCHWC}:ReorderInput`, [this.as(NCHW)]);
    const blocked = this.#names.get(BLOCKED.join());
    if (blocked !== undefined && this.#names.size === 1) {
      const channels = this.#shape[3]!;
      this.#names.set(NCHW.join(), this.#graph.unblock(blocked, channels));
      return this.as(layout);
    }
    const [key, name] = [...this.#names].find(([existing]) => existing !== BLOCKED.join())!;
    const existing = key.split(',').map(Number);
    return this.#graph.op('Transpose', [name], { perm: layout.map((dim) => existing.indexOf(dim)) });
  }
}
