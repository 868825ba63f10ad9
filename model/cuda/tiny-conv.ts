import '../onnx/no-telemetry.js';
import * as ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/proto.js';
import { GraphWriter } from '../onnx/writer.js';

const SIDE = 4;
const TAPS = 3;

/**
 * Runs a convolution on a device. It must run, since cuDNN is loaded when the first one does: a session alone, or an
 * operator without cuDNN, would not find out. Its numbers are exact in every precision.
 *
 * @throws Error of ONNX Runtime; an error for a wrong result
 */
export async function runTinyConv(provider: string): Promise<void> {
  const g = new GraphWriter();
  g.inputs.push({ name: 'x', element: 'float32', dims: [1, 1, SIDE, SIDE] });
  g.inputs.push({ name: 'w', element: 'float32', dims: [1, 1, TAPS, TAPS] });
  g.nodes.push({ opType: 'Conv', input: ['x', 'w'], output: ['y'], attributes: {} });
  g.outputs.push({ name: 'y', element: 'float32', dims: [1, 1, 2, 2] });
  const session = await ort.InferenceSession.create(encodeModel(g), { executionProviders: [provider] });
  try {
    const ones = (side: number) =>
      new ort.Tensor('float32', new Float32Array(side * side).fill(1), [1, 1, side, side]);
    const { y } = await session.run({ x: ones(SIDE), w: ones(TAPS) });
    const values = y!.data as Float32Array;
    if (values.some((value) => value !== TAPS * TAPS)) {
      throw new Error(`a convolution of ones gave ${values.join(', ')} instead of ${TAPS * TAPS}`);
    }
  } finally {
    await session.release();
  }
}
