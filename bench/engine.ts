import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import * as ort from 'onnxruntime-node';
import { Engine } from '../model/engine/engine.js';
import { buildUnet, type UnetConfig } from '../model/network/unet.js';
import { encodeModel } from '../model/onnx/proto.js';
import { GraphWriter } from '../model/onnx/writer.js';
import { importNetwork } from '../server/packages/import-network.js';
import { onnxSource } from '../server/packages/network-source.js';
import { writeUntrained } from '../test/support/untrained.js';
import { type Bench, medians } from './bench.js';

const SIDE = 572;
const OUT = 388;
const BASES = [16, 32];
const RUNS = 9;
const WASM_RUNS = 5;
const LIMITS = { wasmOverOnnx: 7, onnxOverNative: 1.15, importedOverOnnx: 1.1 };

/**
 * Compares the inference time of the engine with two baselines, on U-Nets of two widths and one tile of 572 px:
 * TensorFlow.js's own `wasm` backend, and ONNX Runtime called directly with the same weights in a graph
 * written by hand in NCHW. The latter shows the overhead of our backend and its thread. The engine is timed as
 * it serves, from 8-bit pixels to probabilities in the caller's thread. The same graph, imported as a model, has to be as
 * fast as our own network. All outputs must agree.
 */
export const bench: Bench = async (log) => {
  const figures: Record<string, Record<string, number>> = {};
  let holds = true;
  const threads = 2;
  for (const base of BASES) {
    const config: UnetConfig = {
      channels: [1, 2, 4, 8, 16].map((n) => n * base),
      inputChannels: 1,
      classes: 2,
      seed: 1,
    };
    const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
    const engine = Engine.start({ provider: 'cpu', threads });
    try {
      const folder = join(dir, 'bench', '1');
      await writeUntrained(engine, folder, config);
      const model = await engine.load(folder);
      const pixels = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => (i * 31) & 255);

      await tf.setBackend('wasm');
      await tf.ready();
      const net = buildUnet(config);
      const weights = new Map<string, Float32Array>();
      for (const layer of net.layers) {
        for (const [i, w] of layer.getWeights().entries())
          weights.set(`${layer.name}/${i}`, (await w.data()) as Float32Array);
      }
      const session = await ort.InferenceSession.create(nativeModel(net, weights), {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        // After its turn its threads would spin on, on the cores of the engine, whose turn is next.
        extra: { session: { force_spinning_stop: '1' } },
      });
      const floats = new ort.Tensor(
        'float32',
        Float32Array.from(pixels, (v) => v / 255),
        [1, 1, SIDE, SIDE],
      );
      const predict = (id: number) =>
        engine.predict(
          id,
          { data: pixels.slice(), count: 1, height: SIDE, width: SIDE, channels: 1 },
          'probabilities',
        ) as Promise<Float32Array>;
      const importedFolder = join(dir, 'imported', '1');
      await importNetwork({
        engine,
        folder: importedFolder,
        name: 'imported',
        version: 1,
        network: onnxSource(nativeModel(net, weights)),
        source: 'bench',
        card: {},
      });
      const importedModel = await engine.load(importedFolder);
      const onnx = () => predict(model.id);
      const imported = () => predict(importedModel.id);
      const native = async () => (await session.run({ image: floats })).probabilities!.data as Float32Array;
      const wasm = async () => {
        const y = tf.tidy(
          () => net.apply(tf.tensor4d(floats.data as Float32Array, [1, SIDE, SIDE, 1])) as tf.Tensor,
        );
        const values = await y.data();
        y.dispose();
        return values as Float32Array;
      };
      const agreement = await agree(onnx, native, wasm);
      await agree(imported, native, wasm);
      const fast = await medians(RUNS, { onnx, native, imported });
      const slower = await medians(WASM_RUNS, { wasm, onnxBeside: onnx });
      const ratios = {
        wasmOverOnnx: slower.wasm / slower.onnxBeside,
        onnxOverNative: fast.onnx / fast.native,
        importedOverOnnx: fast.imported / fast.onnx,
      };
      figures[`base${base}`] = rounded({ ...fast, ...slower, ...ratios, ...agreement });
      holds &&=
        ratios.wasmOverOnnx >= LIMITS.wasmOverOnnx &&
        ratios.onnxOverNative <= LIMITS.onnxOverNative &&
        ratios.importedOverOnnx <= LIMITS.importedOverOnnx;
      log(`base ${base}: ${JSON.stringify(figures[`base${base}`])}`);
      await session.release();
      net.dispose();
    } finally {
      await engine.close();
      await rm(dir, { recursive: true, force: true });
    }
  }
  return { side: SIDE, threads, ...figures, limits: LIMITS, holds };
};

/** Fails unless all three outputs agree within 1e-4: the speed of a wrong result means nothing. */
async function agree(...runs: (() => Promise<Float32Array>)[]): Promise<{ largestDifference: number }> {
  const [onnx, native, wasm] = (await Promise.all(runs.map((run) => run()))) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  let largestDifference = 0;
  for (let i = 0; i < OUT * OUT; i++) {
    for (let c = 0; c < 2; c++) {
      const ours = onnx[i * 2 + c]!;
      largestDifference = Math.max(
        largestDifference,
        Math.abs(ours - native[c * OUT * OUT + i]!),
        Math.abs(ours - wasm[i * 2 + c]!),
      );
    }
  }
  if (!(largestDifference < 1e-4)) throw new Error(`the engines disagree by ${largestDifference}`);
  return { largestDifference };
}

/** The network as an ONNX graph in NCHW, as one would write it by hand. */
function nativeModel(net: tfl.LayersModel, weights: ReadonlyMap<string, Float32Array>): Uint8Array {
  const g = new GraphWriter();
  const names = new Map<number, string>();
  g.inputs.push({ name: 'image', element: 'float32', dims: [1, 1, SIDE, SIDE] });
  for (const layer of net.layers) {
    const inputs = [layer.input].flat().map((t) => names.get(t.id)!);
    names.set((layer.output as tfl.SymbolicTensor).id, write(g, layer, inputs, weights));
  }
  g.nodes.at(-1)!.output = ['probabilities'];
  g.outputs.push({ name: 'probabilities', element: 'float32', dims: [1, 2, OUT, OUT] });
  return encodeModel(g);
}

function write(
  g: GraphWriter,
  layer: tfl.layers.Layer,
  inputs: readonly string[],
  weights: ReadonlyMap<string, Float32Array>,
): string {
  const config = layer.getConfig() as Record<string, unknown>;
  const array = (i: number) => weights.get(`${layer.name}/${i}`)!;
  switch (layer.getClassName()) {
    case 'InputLayer':
      return 'image';
    case 'Conv2D': {
      const [h, w, i, o] = layer.getWeights()[0]!.shape as [number, number, number, number];
      const kernel = g.initializer('float32', [o, i, h, w], permuted(array(0), [h, w, i, o], [3, 2, 0, 1]));
      const bias = g.initializer('float32', [o], array(1));
      return g.op('Conv', [inputs[0]!, kernel, bias], { kernel_shape: [h, w] });
    }
    case 'Conv2DTranspose': {
      const [h, w, o, i] = layer.getWeights()[0]!.shape as [number, number, number, number];
      const kernel = g.initializer('float32', [i, o, h, w], permuted(array(0), [h, w, o, i], [3, 2, 0, 1]));
      const bias = g.initializer('float32', [o], array(1));
      return g.op('ConvTranspose', [inputs[0]!, kernel, bias], { kernel_shape: [h, w], strides: [2, 2] });
    }
    case 'MaxPooling2D':
      return g.op('MaxPool', [inputs[0]!], { kernel_shape: [2, 2], strides: [2, 2] });
    case 'Cropping2D': {
      const [[crop]] = config.cropping as [[number]];
      return g.op('Slice', [inputs[0]!, g.ints([crop, crop]), g.ints([-crop, -crop]), g.ints([2, 3])]);
    }
    case 'Concatenate':
      return g.op('Concat', inputs, { axis: 1 });
    case 'Activation':
      return config.activation === 'relu'
        ? g.op('Relu', [inputs[0]!])
        : g.op('Softmax', [inputs[0]!], { axis: 1 });
    default:
      throw new Error(`unsupported layer ${layer.getClassName()}`);
  }
}

function permuted(data: Float32Array, shape: readonly number[], perm: readonly number[]): Float32Array {
  const result = new Float32Array(data.length);
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const dims = perm.map((d) => shape[d]!);
  for (let to = 0; to < result.length; to++) {
    let rest = to;
    let from = 0;
    for (let d = dims.length - 1; d >= 0; d--) {
      from += (rest % dims[d]!) * strides[perm[d]!]!;
      rest = Math.floor(rest / dims[d]!);
    }
    result[to] = data[from]!;
  }
  return result;
}

const rounded = (figures: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(figures).map(([name, v]) => [name, v < 1e-3 ? v : Number(v.toFixed(3))]));
