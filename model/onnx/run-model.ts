import * as ort from 'onnxruntime-node';
import { graphError } from '../errors.js';
import { FLUSH_DENORMALS } from './blocked.js';

/** An input of a model: floats, and their dimensions. */
export interface ModelInput {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/**
 * Computes one output of an ONNX model, once, on the CPU.
 * @throws GraphError where ONNX Runtime rejects or fails it
 */
export async function runModel(
  model: Uint8Array,
  inputs: Readonly<Record<string, ModelInput>>,
  output: string,
): Promise<Float32Array> {
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, dims }]) => [name, new ort.Tensor('float32', data, dims)]),
  );
  let session: ort.InferenceSession | null = null;
  try {
    const options = { executionProviders: ['cpu'], interOpNumThreads: 1, logSeverityLevel: 3 as const };
    session = await ort.InferenceSession.create(model, { ...options, extra: FLUSH_DENORMALS });
    return (await session.run(feeds, [output]))[output]!.data as Float32Array;
  } catch (cause) {
    throw graphError('ONNX Runtime failed a model', cause);
  } finally {
    await session?.release();
  }
}
