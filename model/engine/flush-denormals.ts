import '../onnx/no-telemetry.js';
import * as ort from 'onnxruntime-node';
import { FLUSH_DENORMALS } from '../onnx/blocked.js';
import { encodeModel } from '../onnx/proto.js';
import { GraphWriter } from '../onnx/writer.js';

/**
 * Has this thread, and every thread that it starts from now on, flush denormal floats to zero. ONNX Runtime applies the
 * choice of a process's first session to the thread that creates it, and to no other that calls it; but a thread inherits
 * the floating-point modes of the one that starts it. So the first session is created here, before any lane is started:
 * else a lane of one thread would compute with denormals, and its bits would differ from those of the first lane.
 */
export async function flushDenormals(): Promise<void> {
  const g = new GraphWriter();
  g.inputs.push({ name: 'x', element: 'float32', dims: [1] });
  g.nodes.push({ opType: 'Identity', input: ['x'], output: ['y'], attributes: {} });
  g.outputs.push({ name: 'y', element: 'float32', dims: [1] });
  const session = await ort.InferenceSession.create(encodeModel(g), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: FLUSH_DENORMALS,
  });
  await session.release();
}
