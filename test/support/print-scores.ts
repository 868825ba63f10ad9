import * as ort from 'onnxruntime-node';
import type { Provider } from '../../model/devices/device.js';
import { floatsOf } from '../../model/onnx/half/float16.js';
import { halve } from '../../model/onnx/half/halve.js';
import { OVERFLOW } from '../../model/onnx/half/overflow.js';
import { ElementType, encodeModel, type Graph } from '../../model/onnx/proto.js';
import { executionProviders } from '../../model/onnx/providers.js';
import { GraphWriter } from '../../model/onnx/writer.js';
import { noise } from './oracle.js';

/** What a process prints for each image. */
export interface PrintedScores {
  /** As they are computed by a graph that is not rewritten. */
  readonly expected: readonly (number | null)[];
  /** As they are computed by the graph for 16 bits; null for what is infinite or NaN. */
  readonly scores: readonly (number | null)[];
  /** Whether that found an overflow; null in a training, whose graph has no flag. */
  readonly isRefused: boolean | null;
}

/** The side of an image of two channels, in px. */
const SIDE = 12;
const CHANNELS = 8;
/** Twice this is infinite in 32 bits. */
const HUGE = 3e38;

const ordinary = noise(2 * SIDE ** 2, 1, 0, 1);
const place = 2 * SIDE + 2;
const images = {
  ordinary,
  /** Its first channel is of numbers whose products exceed 32 bits. */
  huge: ordinary.map((value, i) => (i < SIDE ** 2 ? HUGE : value)),
  /** In one pixel, the products exceed 32 bits, and cancel each other. */
  cancelling: ordinary.map((value, i) => (i % SIDE ** 2 === place ? HUGE : value)),
};
export type ImageName = keyof typeof images;

/** Convolutions, ReLUs and max pooling, as in a U-Net. The first convolution subtracts the second channel from the first. */
function network(): Graph {
  const g = new GraphWriter();
  const convolve = (x: string, from: number, to: number, size: number, seed: number): string => {
    const taps = size ** 2;
    const values = noise(to * from * taps, seed, -1, 1);
    const filter = from === 2 ? differences(values, taps) : values.map((v) => v / Math.sqrt(from * taps));
    const weights = g.initializer('float32', [to, from, size, size], filter);
    const bias = g.initializer('float32', [to], noise(to, seed + 1, 0.1, 0.5));
    return g.op('Conv', [x, weights, bias], { kernel_shape: [size, size] });
  };
  const halving = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] };
  g.inputs.push({ name: 'image', element: 'float32', dims: [1, 2, SIDE, SIDE] });
  const first = g.op('Relu', [convolve('image', 2, CHANNELS, 3, 10)]);
  const second = g.op('Relu', [convolve(first, CHANNELS, CHANNELS, 3, 20)]);
  const pooled = g.op('MaxPool', [second], halving);
  const third = g.op('Relu', [convolve(pooled, CHANNELS, CHANNELS, 3, 30)]);
  const scores = convolve(third, CHANNELS, 2, 1, 40);
  g.nodes.push({ opType: 'Identity', input: [scores], output: ['scores'], attributes: {} });
  g.outputs.push({ name: 'scores', element: 'float32', dims: [1, 2, 2, 2] });
  return g;
}

/** Filters of two channels, by whose numbers `HUGE` becomes infinite: 1.2 to 2, and the same with the other sign. */
function differences(values: Float32Array, taps: number): Float32Array {
  return values.map((_, i) => {
    const value = values[i - (i % (2 * taps)) + (i % taps)]!;
    const weight = Math.sign(value) * (1.2 + 0.8 * Math.abs(value));
    return i % (2 * taps) < taps ? weight : -weight;
  });
}

/** A graph for 16 bits with floats of 32: SwiftShader has no others. Numbers overflow later, but in the same way. */
function widen(graph: Graph): Graph {
  const initializers = graph.initializers.map((tensor) => {
    if (tensor.dataType !== ElementType.float16) return tensor;
    const floats = floatsOf(new Uint16Array(tensor.rawData.slice().buffer));
    return { ...tensor, dataType: ElementType.float32, rawData: new Uint8Array(floats.buffer) };
  });
  const nodes = graph.nodes.map((node) =>
    node.attributes.to === ElementType.float16 ? { ...node, attributes: { to: ElementType.float32 } } : node,
  );
  return { ...graph, initializers, nodes };
}

/** Compiles a graph; a session for all images, since a GPU in software takes seconds for one. */
async function compiled(graph: Graph, provider: Provider) {
  const session = await ort.InferenceSession.create(encodeModel(graph), {
    executionProviders: executionProviders({ provider }),
    logSeverityLevel: 3,
  });
  return async (image: Float32Array) => {
    const results = await session.run({ image: new ort.Tensor('float32', image, [1, 2, SIDE, SIDE]) });
    const flag = results[OVERFLOW]?.data[0];
    return {
      scores: [...(results.scores!.data as Float32Array)],
      isRefused: flag === undefined ? null : flag !== 0,
    };
  };
}

// A program: `print-scores.js PROVIDER frozen|training`
const [provider, use] = process.argv.slice(2) as [Provider, 'frozen' | 'training'];
const printed: Record<string, PrintedScores> = {};
const plain = await compiled(network(), provider);
const halved = await compiled(widen(halve(network(), use === 'frozen')), provider);
for (const [name, image] of Object.entries(images)) {
  const { scores: expected } = await plain(image);
  printed[name] = { expected, ...(await halved(image)) };
}
process.stdout.write(JSON.stringify(printed satisfies Record<ImageName, PrintedScores>));
