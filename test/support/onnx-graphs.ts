import * as ort from 'onnxruntime-node';
import { type Attributes, encodeModel } from '../../model/onnx/proto.js';
import { GraphWriter } from '../../model/onnx/writer.js';
import { noise } from './oracle.js';

/** Writes small ONNX graphs, as exporters have them: images in NCHW, weights as initialisers. */
export class OnnxGraphs {
  readonly g = new GraphWriter();
  #weights = 0;

  /** @param sides rows and columns; names where the file leaves them open */
  constructor(
    channels: number,
    readonly sides: readonly [number | string, number | string] = ['h', 'w'],
  ) {
    this.g.inputs.push({ name: 'image', element: 'float32', dims: ['n', channels, ...sides] });
  }

  /** A weight of pseudorandom values. */
  weight(dims: readonly number[], low = -0.5, high = 0.5): string {
    const values = noise(
      dims.reduce((product, n) => product * n, 1),
      ++this.#weights,
      low,
      high,
    );
    return this.g.initializer('float32', dims, values);
  }

  conv(x: string, inChannels: number, outChannels: number, kernel = 3, attributes: Attributes = {}): string {
    const pads = Math.floor(kernel / 2);
    return this.g.op(
      'Conv',
      [x, this.weight([outChannels, inChannels, kernel, kernel]), this.weight([outChannels])],
      { kernel_shape: [kernel, kernel], pads: [pads, pads, pads, pads], ...attributes },
    );
  }

  relu = (x: string): string => this.g.op('Relu', [x]);

  pool = (x: string, kernel = 2): string =>
    this.g.op('MaxPool', [x], { kernel_shape: [kernel, kernel], strides: [kernel, kernel] });

  /** Resizes rows and columns by a factor. */
  resize(x: string, factor: number, mode: string, place = 'half_pixel'): string {
    const scales = this.g.initializer('float32', [4], Float32Array.of(1, 1, factor, factor));
    return this.g.op('Resize', [x, '', scales], { mode, coordinate_transformation_mode: place });
  }

  /** The file, whose output is this tensor under the name `scores`. */
  file(output: string): Uint8Array {
    this.g.nodes.push({ opType: 'Identity', input: [output], output: ['scores'], attributes: {} });
    this.g.outputs.push({ name: 'scores', element: 'float32', dims: ['n', 'c', 'y', 'x'] });
    return encodeModel(this.g);
  }
}

/** What ONNX Runtime computes with a file of one input of one channel, and one output. */
export async function computedBy(file: Uint8Array, pixels: Float32Array, [height, width]: [number, number]) {
  const session = await ort.InferenceSession.create(file);
  const feeds = { image: new ort.Tensor('float32', pixels, [1, 1, height, width]) };
  const { scores } = await session.run(feeds);
  await session.release();
  return [...(scores!.data as Float32Array)];
}
