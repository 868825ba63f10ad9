/** Errors of `model/`. `code` is stable: `server/` maps it to an HTTP status and an exit code. */
export abstract class ModelError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** TensorFlow.js requested a computation that the `onnx` backend does not support. */
export class UnsupportedKernelError extends ModelError {
  readonly code = 'unsupported-kernel';
  constructor(
    readonly kernel: string,
    readonly reason: string,
  ) {
    super(`the onnx backend cannot run kernel ${kernel}: ${reason}`);
  }
}

/** A synchronous read of a tensor that is not computed yet. */
export class PendingReadError extends ModelError {
  readonly code = 'pending-read';
  constructor() {
    super(
      'dataSync() on a tensor that is not computed yet: the onnx backend computes in data(); await that instead',
    );
  }
}

/** Whether an error has one of these codes: one of another thread or process has no class of ours. */
export const hasCode = (error: unknown, ...codes: readonly unknown[]): boolean =>
  codes.includes((error as { readonly code?: unknown }).code);

/** ONNX Runtime rejected a graph, or failed to run it. */
export class GraphError extends ModelError {
  readonly code = 'graph-failed';
}

/**
 * Whether a computation failed by an error of the graph, or of the engine, by its code in any thread or process. The cause
 * may be the device.
 */
export const isFailureOfGraph = (error: unknown): boolean => hasCode(error, 'graph-failed', 'engine-failed');

/** The device lacks the memory for a graph or its tensors. */
export class OutOfMemoryError extends ModelError {
  readonly code = 'out-of-memory';
}

/** A device that is absent, or lacks what it needs: the message says what, and what to do. */
export class DeviceUnavailableError extends ModelError {
  readonly code = 'device-unavailable';
}

/** Something with which devices were lost again and again, each time that it was computed. */
export class DeviceKillerError extends ModelError {
  readonly code = 'device-killer';
  /** @param what such as `a tile` */
  constructor(what: string, cause: unknown) {
    super(`a device failed repeatedly with ${what}: ${(cause as Error).message}`, { cause });
  }
}

/** A precision that a network's numbers exceed, or that the device lacks. */
export class PrecisionError extends ModelError {
  readonly code = 'bad-precision';
}

/** Messages of ONNX Runtime, its providers, TensorFlow and V8 when memory is exhausted. */
const OUT_OF_MEMORY =
  /bad.?alloc|failed to allocate|out of memory|OOM when allocating|allocation failed|alloc_failed|cudaErrorMemoryAllocation/i;

/** Converts what ONNX Runtime or TensorFlow threw into a `ModelError`. */
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
    readonly reason: string,
  ) {
    super(`layer "${layer}" prevents exact tiling: ${reason}`);
  }
}

/** A file that is no ONNX model, or one that is damaged, larger than it may be, or of another kind. */
export class OnnxFileError extends ModelError {
  readonly code = 'bad-onnx-file';
}

/** An imported network that computes on this device what it should not: other values than its test, or than one pass. */
export class VerificationError extends ModelError {
  readonly code = 'verification-failed';
}

/** A node of an ONNX graph that cannot be computed here. */
export class UnsupportedNodeError extends ModelError {
  readonly code = 'unsupported-node';
  constructor(
    readonly node: string,
    readonly opType: string,
    readonly reason: string,
  ) {
    super(`node "${node}" (${opType}) cannot be imported: ${reason}`);
  }
}

/** A network that cannot be quantised. */
export class UnquantisableLayerError extends ModelError {
  readonly code = 'unquantisable';
  constructor(
    readonly layer: string,
    readonly reason: string,
  ) {
    super(`layer "${layer}" cannot be quantised: ${reason}`);
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

/** A package of a model that is damaged, contradicts itself or names what is not in it. */
export class PackageError extends ModelError {
  readonly code = 'bad-package';
}

/** A package of a model, or what is in it, of a kind that is not read. */
export class UnsupportedPackageError extends ModelError {
  readonly code = 'unsupported-package';
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

/** The request does not determine a model: none is named, or the named one is in the wrong state. */
export class ModelChoiceError extends ModelError {
  readonly code = 'bad-request';
}

/** An error from another thread or process, with its code there. */
export class RemoteError extends ModelError {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** A lane of the engine exited with calls in flight. */
export class EngineLostError extends ModelError {
  readonly code = 'engine-lost';
}

/** Whether devices were lost: they, or what was computed with them, are to blame. */
export const isLossOfDevice = (error: unknown): boolean => hasCode(error, 'engine-lost', 'device-killer');
