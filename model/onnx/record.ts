import type { BackendValues } from '@tensorflow/tfjs-core';
import type { AnyOperator, Inputs } from './operator.js';
import type { TensorType } from './value.js';

/** An operator that waits to be computed, with the tensors that it reads. */
export interface Recorded {
  readonly id: number;
  readonly operator: AnyOperator;
  readonly inputs: readonly TensorData[];
  /** Those of the operator; `OnnxBackend.record` checks by its types that they go together. */
  readonly attributes: object;
  readonly type: TensorType;
}

/** Whether it was this operator that was recorded, whose attributes are then known. */
export function isRecordOf<A extends object, I extends Inputs>(
  recorded: Recorded,
  operator: AnyOperator<A, I>,
): recorded is Recorded & { readonly attributes: A } {
  return recorded.operator === operator;
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
