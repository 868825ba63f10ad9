import * as ort from 'onnxruntime-node';
import { graphError } from '../errors.js';
import { feedShape, type Program } from './compile.js';
import type { TensorData } from './record.js';

/** Values of one input of a recorded computation. */
export interface TraceInput {
  readonly values: Float32Array;
  /** Of the rank and channels that it was recorded with; of images, number and size are free. */
  readonly shape: readonly number[];
}

/**
 * A computation of a frozen network that was recorded once, and runs with other values and sizes of images: no call of
 * TensorFlow.js is made for a batch. It must not be run once the network is disposed.
 */
export class Trace {
  /**
   * @param program of one output
   * @param inputs the tensors that it was recorded with
   */
  constructor(
    private readonly program: Program,
    private readonly inputs: readonly TensorData[],
    private readonly sessions: {
      readonly get: (program: Program) => Promise<ort.InferenceSession>;
      readonly release: (program: Program, threads: number) => Promise<void>;
    },
  ) {}

  /** Computes the values of the output, in the order of TensorFlow.js. Booleans are bytes. */
  async run(inputs: readonly TraceInput[]): Promise<Float32Array | Int32Array | Uint8Array> {
    const { program } = this;
    const session = await this.sessions.get(program);
    const feeds = Object.fromEntries(
      program.feeds.map((data, i) => {
        const { values, shape } = inputs[this.inputs.indexOf(data)]!;
        return [`i${i}`, new ort.Tensor('float32', values, feedShape(shape, program))];
      }),
    );
    try {
      return (await session.run(feeds)).o0!.data as Float32Array | Int32Array | Uint8Array;
    } catch (cause) {
      throw graphError(`ONNX Runtime failed a graph of ${program.nodes.length} operators`, cause);
    }
  }

  /** Releases its session of a number of threads; a later run creates another. */
  release(threads: number): Promise<void> {
    return this.sessions.release(this.program, threads);
  }
}
