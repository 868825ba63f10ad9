import { createHash } from 'node:crypto';
import { INPUT } from '../../model/exchange/mirrored-graph.js';
import { encodeNpy } from '../../model/exchange/npy.js';
import { runModel } from '../../model/onnx/run-model.js';
import { type ZipFile, zipParts } from '../../server/packages/zip-writer.js';
import { OnnxGraphs } from './onnx-graphs.js';
import { noise } from './oracle.js';

const SIDE = 64;
/** Of the network of `smallPackage`: three convolutions of 3×3, one of them on half of the px. */
export const HALO = 4;

const space = (id: string, more: object = {}) => ({ type: 'space', id, size: SIDE, ...more });

/** A description of format version 0.5, of a network of one channel and one sigmoid. */
export const DESCRIPTION_05 = {
  format_version: '0.5.3',
  type: 'model',
  name: 'small network',
  description: 'A network of random weights.',
  license: 'CC0-1.0',
  cite: [{ text: 'Nobody (2026)', doi: '10.1234/none' }],
  inputs: [
    {
      id: 'image',
      axes: [{ type: 'batch' }, { type: 'channel', channel_names: ['raw'] }, space('y'), space('x')],
      data: { type: 'float32' },
      test_tensor: { source: 'input.npy' },
      preprocessing: [{ id: 'zero_mean_unit_variance', kwargs: { axes: ['y', 'x'] } }],
    },
  ],
  outputs: [
    {
      id: 'output',
      axes: [
        { type: 'batch' },
        { type: 'channel', channel_names: ['nucleus'] },
        space('y', { halo: 8, size: { tensor_id: 'image', axis_id: 'y' } }),
        space('x', { halo: 8, size: { tensor_id: 'image', axis_id: 'x' } }),
      ],
      test_tensor: { source: 'output.npy' },
      postprocessing: [{ id: 'sigmoid' }],
    },
  ],
  weights: { onnx: { source: 'weights.onnx', opset_version: 18 } as object } as Record<string, object>,
};

/** The same in format version 0.4. */
export const DESCRIPTION_04 = {
  ...DESCRIPTION_05,
  format_version: '0.4.10',
  inputs: [
    {
      name: 'image',
      axes: 'bcyx',
      data_type: 'float32',
      shape: [1, 1, SIDE, SIDE],
      preprocessing: [{ name: 'zero_mean_unit_variance', kwargs: { mode: 'per_sample', axes: 'xy' } }],
    },
  ],
  outputs: [
    {
      name: 'output',
      axes: 'bcyx',
      data_type: 'float32',
      shape: { reference_tensor: 'image', scale: [1, 1, 1, 1], offset: [0, 0, 0, 0] },
      halo: [0, 0, 8, 8],
      postprocessing: [{ name: 'sigmoid' }],
    },
  ],
  test_inputs: ['input.npy'],
  test_outputs: ['output.npy'],
};

export interface SmallPackage {
  readonly description: object;
  /** Those beside the description, by name. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** A package with a network of random weights, and the output that ONNX Runtime computes for its test. */
export async function smallPackage(description: object = DESCRIPTION_05): Promise<SmallPackage> {
  const graphs = new OnnxGraphs(1);
  const skip = graphs.relu(graphs.conv('image', 1, 4));
  const deep = graphs.relu(graphs.conv(graphs.pool(skip), 4, 4));
  const joined = graphs.g.op('Concat', [skip, graphs.resize(deep, 2, 'nearest', 'asymmetric')], { axis: 1 });
  const onnx = graphs.file(graphs.conv(joined, 8, 1, 1));
  const image = noise(SIDE * SIDE, 5, 0, 255);
  const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
  const deviation = Math.sqrt(image.reduce((sum, value) => sum + (value - mean) ** 2, 0) / image.length);
  const data = image.map((value) => (value - mean) / (deviation + 1e-6));
  const logits = await runModel(onnx, { [INPUT]: { data, dims: [1, 1, SIDE, SIDE] } }, 'scores');
  const shape = [1, 1, SIDE, SIDE];
  const files = new Map([
    ['weights.onnx', Buffer.from(onnx)],
    ['input.npy', encodeNpy({ shape, data: Float32Array.from(image) })],
    ['output.npy', encodeNpy({ shape, data: logits.map((logit) => 1 / (1 + Math.exp(-logit))) })],
  ]);
  return { description, files };
}

/** A package as an archive. */
export function archiveOf({ description, files }: SmallPackage): Buffer {
  const listed: ZipFile[] = [...files].map(([name, data]) => ({ name, data }));
  const rdf = { name: 'rdf.yaml', data: Buffer.from(JSON.stringify(description)) };
  return Buffer.concat(zipParts([rdf, ...listed]));
}

export const sha256Of = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
