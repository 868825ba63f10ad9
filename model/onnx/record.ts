import type { BackendValues } from '@tensorflow/tfjs-core';
import type { AnyOperator, Inputs } from './operator.js';
import type { TensorType } from './value.js';

/** A pending operator with the tensors that it reads. */
export interface Recorded {
  readonly id: number;
  readonly operator: AnyOperator;
  readonly inputs: readonly TensorData[];
  /** Of the operator's own type, which `OnnxBackend.record` ensures. */
  readonly attributes: object;
  readonly type: TensorType;
}

/** Whether this operator was recorded; narrows the type of its attributes. */
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
  /** Set on frozen weights, whose values are constants of the graphs that read them. */
  constantId: number | null;
  /** The value of a scalar that the program wrote: a constant of the graph, and part of its structure. */
  readonly scalar: number | null;
}
