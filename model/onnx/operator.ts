import type { ElementName } from './proto.js';
import type { Deferred, Layout, Shape, Value } from './value.js';
import type { GraphWriter } from './writer.js';

/** The tensors that an operator reads: a tuple, or a list where their number varies. */
export type Inputs = readonly Value[];

/** The tensor that an operator computes, before its nodes are written. */
export interface Output {
  readonly rank: number;
  readonly dtype: ElementName;
  /**
   * The tensor as the graph computes it.
   * @param name that of the last node's output
   * @param layout the layout in which that node leaves it; default: TensorFlow.js's own
   */
  value(name: string, layout?: Layout): Value;
  /** The tensor, whose nodes are written when they are needed. */
  deferred(deferred: Deferred): Value;
}

/**
 * An operator whose nodes are the same for tensors of every shape. `emit` sees ranks and types but no sizes, so
 * that a graph with symbolic batch, height and width holds for all of them.
 *
 * @typeParam A the attributes that it is recorded with: plain data, part of the graph's structure
 * @typeParam I the tensors that it reads; default: one
 */
export interface Operator<A extends object = object, I extends Inputs = readonly [Value]> {
  /** Unique among operators. */
  readonly name: string;
  readonly shapeBound?: false;
  /**
   * Fuses two of these operators in a row, of one input each: the attributes of the operator that replaces them,
   * or null where none can. The inner one runs first.
   */
  fuse?(inner: A, outer: A): A | null;
  /** Writes the operator's nodes into a graph. */
  emit(graph: GraphWriter, inputs: I, attributes: A, output: Output): Value;
}

/**
 * An operator whose nodes depend on the sizes of its tensors. Their shapes become part of the graph's structure, so
 * that a session is never reused for other shapes.
 */
export interface ShapeBoundOperator<A extends object = object, I extends Inputs = readonly [Value]> {
  /** Unique among operators. */
  readonly name: string;
  readonly shapeBound: true;
  /** Writes the operator's nodes into a graph, for these shapes alone. */
  emit(graph: GraphWriter, inputs: I, attributes: A, output: Output, shapes: Shapes<I>): Value;
}

export interface Shapes<I extends Inputs> {
  readonly inputs: { readonly [K in keyof I]: Shape };
  readonly output: Shape;
}

export type AnyOperator<A extends object = object, I extends Inputs = Inputs> =
  | Operator<A, I>
  | ShapeBoundOperator<A, I>;
