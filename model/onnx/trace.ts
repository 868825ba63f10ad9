import * as ort from 'onnxruntime-node';
import { graphError } from '../errors.js';
import { compileInto, feedShape, type Program } from './compile.js';
import { refuseOverflow } from './half/overflow.js';
import { PortableWriter } from './portable-writer.js';
import type { Graph } from './proto.js';
import type { TensorData } from './record.js';

/** Values of one input of a recorded computation. */
export interface TraceInput {
  readonly values: Float32Array | Int32Array;
  /**
   * Of a frozen network's images, whose number and size are free, with the channels that it was recorded with. Default:
   * the shape that it was recorded with.
   */
  readonly shape?: readonly number[];
}

/**
 * A computation that was recorded once, and runs with other values, of a frozen network also with images of other sizes: no
 * call of TensorFlow.js is made for a batch. It must not be run once a frozen network is disposed.
 */
export class Trace {
  /** @param inputs the tensors whose values each run provides; others that it reads keep theirs */
  constructor(
    private readonly program: Program,
    private readonly inputs: readonly TensorData[],
    private readonly sessions: {
      readonly get: (program: Program) => Promise<ort.InferenceSession>;
      readonly release: (program: Program, threads: number) => Promise<void>;
    },
  ) {}

  /**
   * Computes the values of the outputs, in the order of TensorFlow.js. Booleans are bytes.
   * @param targets arrays that outputs are written to and that take their places in the result; null, or none, for a new
   * one. Outputs that have them are floats of the recorded shape
   */
  async run(
    inputs: readonly TraceInput[],
    targets: readonly (Float32Array | null)[] = [],
  ): Promise<(Float32Array | Int32Array | Uint8Array)[]> {
    const { program } = this;
    const session = await this.sessions.get(program);
    const feeds = Object.fromEntries(
      program.feeds.map((data, i) => {
        const known: TraceInput = { values: data.values as Float32Array };
        const { values, shape = data.type.shape } = inputs[this.inputs.indexOf(data)] ?? known;
        return [`i${i}`, new ort.Tensor(data.type.dtype, values as Float32Array, feedShape(shape, program))];
      }),
    );
    const fetches: Record<string, ort.Tensor | null> = Object.fromEntries(
      session.outputNames.map((name) => [name, null]),
    );
    for (const [i, { type }] of program.outputs.entries()) {
      const target = targets[i];
      if (target) fetches[`o${i}`] = new ort.Tensor('float32', target, type.shape);
    }
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await session.run(feeds, fetches);
    } catch (cause) {
      throw graphError(`ONNX Runtime failed a graph of ${program.nodes.length} operators`, cause);
    }
    refuseOverflow(results);
    return program.outputs.map(
      (_, i) => targets[i] ?? (results[`o${i}`]!.data as Float32Array | Int32Array | Uint8Array),
    );
  }

  /**
   * The computation as a graph for other programs; see `PortableWriter`.
   * @param block channels in a block of the graph that it is to agree with; null for each operator as it is recorded
   */
  portable(block: number | null): Graph {
    return compileInto(new PortableWriter(block), this.program);
  }

  /** Releases its session of a number of threads; a later run creates another. */
  release(threads: number): Promise<void> {
    return this.sessions.release(this.program, threads);
  }
}
