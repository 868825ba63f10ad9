import type { BackendValues } from '@tensorflow/tfjs-core';
import type { GraphWriter, TensorType, Value } from './writer.js';

/** What an operator is told besides its input tensors; part of the graph's structure. */
export type RecordAttributes = Readonly<
  Record<string, number | string | boolean | readonly number[] | undefined>
>;

/** How one recorded operator is written into an ONNX graph. */
export interface Operator {
  readonly name: string;
  /**
   * Set where `write` looks at its inputs' shapes and not only at its attributes: the shapes then
   * belong to the structure, so that no session is reused for other shapes.
   */
  readonly shapeBound?: boolean;
  write(graph: GraphWriter, inputs: readonly Value[], attributes: RecordAttributes, type: TensorType): Value;
}

/** An operator that waits to be computed, with the tensors that it reads. */
export interface Recorded {
  readonly id: number;
  readonly operator: Operator;
  readonly inputs: readonly TensorData[];
  readonly attributes: RecordAttributes;
  readonly type: TensorType;
}

/** One tensor of the backend: either `values` or `source` is set, never both. */
export interface TensorData {
  readonly type: TensorType;
  refCount: number;
  values: BackendValues | null;
  source: Recorded | null;
  /** Set on frozen weights: the values are part of the graphs that read them. */
  constantId: number | null;
  /** Set on numbers that the program wrote: they are part of the graph, and of its structure. */
  readonly scalar: number | null;
}
