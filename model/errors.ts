/** Errors of `model/`. `code` is stable: `server/` maps it to an HTTP status and an exit code. */
export abstract class ModelError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** TensorFlow.js asked the `onnx` backend for something that it cannot compute. */
export class UnsupportedKernelError extends ModelError {
  readonly code = 'unsupported-kernel';
  constructor(
    readonly kernel: string,
    readonly why: string,
  ) {
    super(`the onnx backend cannot run kernel ${kernel}: ${why}`);
  }
}

/** A synchronous read of a tensor whose value has not been computed. */
export class PendingReadError extends ModelError {
  readonly code = 'pending-read';
  constructor() {
    super(
      'dataSync() on a tensor that is not computed yet: the onnx backend computes on data(), so await that',
    );
  }
}

/** ONNX Runtime refused or failed a graph. */
export class GraphError extends ModelError {
  readonly code = 'graph-failed';
}

/** The device has not the memory for a graph or for what it computes. */
export class OutOfMemoryError extends ModelError {
  readonly code = 'out-of-memory';
}

/** What ONNX Runtime, its providers and V8 say where memory is short. */
const OUT_OF_MEMORY =
  /bad.?alloc|failed to allocate|out of memory|allocation failed|cudaErrorMemoryAllocation/i;

/** What ONNX Runtime threw, as an error of ours. */
export function graphError(what: string, cause: unknown): ModelError {
  const message = `${what}: ${cause instanceof Error ? cause.message : String(cause)}`;
  const Kind = OUT_OF_MEMORY.test(message) ? OutOfMemoryError : GraphError;
  return new Kind(message, { cause });
}

/** A model whose output under tiling could differ from one pass over the whole image. */
export class InexactModelError extends ModelError {
  readonly code = 'inexact-model';
  constructor(
    readonly layer: string,
    readonly why: string,
  ) {
    super(`layer "${layer}" keeps this model from being tiled exactly: ${why}`);
  }
}

/** A network configuration that describes no U-Net. */
export class ModelConfigError extends ModelError {
  readonly code = 'bad-model-config';
}

/** A model folder that is missing, incomplete or damaged. */
export class CheckpointError extends ModelError {
  readonly code = 'bad-checkpoint';
}

/** No model of that name. */
export class UnknownModelError extends ModelError {
  readonly code = 'unknown-model';
  constructor(
    readonly model: string,
    readonly known: readonly string[],
  ) {
    super(
      `no model is named "${model}"; ${known.length === 0 ? 'there are none' : `known: ${known.join(', ')}`}`,
    );
  }
}

/** Which model is meant cannot be said: none is named, or the one that is named is in no state for it. */
export class ModelChoiceError extends ModelError {
  readonly code = 'bad-request';
}

/** An error of another thread or process, with the code that it had there. */
export class RemoteError extends ModelError {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The engine's thread ended while work was in it. */
export class EngineLostError extends ModelError {
  readonly code = 'engine-lost';
}
