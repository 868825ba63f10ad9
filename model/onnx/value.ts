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
  readonly #names = new Map<string, string>();
  readonly rank: number;
  readonly dtype: ElementName;

  constructor(
    graph: GraphWriter,
    { shape, dtype }: TensorType,
    name: string,
    layout: Layout = plainLayout(shape.length),
  ) {
    this.#graph = graph;
    this.#shape = shape;
    this.rank = shape.length;
    this.dtype = dtype;
    this.#names.set(layout.join(), name);
  }

  /** Whether the tensor exists in this layout, or can be converted to it without a permutation. */
  has(layout: Layout): boolean {
    return this.#names.has(layout.join()) || (layout === NCHW && this.#names.has(BLOCKED.join()));
  }

  /**
   * Whether the tensor exists in blocks and has the shape of another one. Blocks occur only in graphs that fix
   * every size, so this reveals nothing to a graph with symbolic ones.
   */
  isBlockedLike(other: Value): boolean {
    return this.has(BLOCKED) && this.#shape.join() === other.#shape.join();
  }

  /** The name of this tensor in TensorFlow.js's own layout. */
  get plain(): string {
    return this.as(plainLayout(this.rank));
  }

  /** The name of this tensor in the given layout. */
  as(layout: Layout): string {
    const key = layout.join();
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = this.#convert(layout);
    this.#names.set(key, name);
    return name;
  }

  #convert(layout: Layout): string {
    if (layout === BLOCKED) return this.#graph.op(`${NCHWC}:ReorderInput`, [this.as(NCHW)]);
    const blocked = this.#names.get(BLOCKED.join());
    if (blocked !== undefined && this.#names.size === 1) {
      const channels = this.#shape[3]!;
      this.#names.set(NCHW.join(), this.#graph.op(`${NCHWC}:ReorderOutput`, [blocked], { channels }));
      return this.as(layout);
    }
    const [key, name] = [...this.#names].find(([existing]) => existing !== BLOCKED.join())!;
    const existing = key.split(',').map(Number);
    return this.#graph.op('Transpose', [name], { perm: layout.map((dim) => existing.indexOf(dim)) });
  }
}
