import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { useOnnxBackend } from '../../../model/onnx/register.js';
import { testFolder } from '../../support/files.js';

describe('an engine with diagnostics', async () => {
  const folder = await testFolder();
  const graphsDir = join(folder, 'deep', 'graphs');
  const profileDir = join(folder, 'profiles');
  let graphs: string[];
  let profiles: string[];

  beforeAll(async () => {
    const diagnostics = { graphsDir, profileDir };
    const backend = await useOnnxBackend({ provider: 'cpu', threads: 1, maxSessions: 4, diagnostics });
    const product = tf.tidy(() => tf.transpose(tf.mul(tf.tensor([1, 2, 3], [1, 3]), 0.5)));
    expect(await product.data()).toEqual(Float32Array.of(0.5, 1, 1.5));
    product.dispose();
    await backend.close();
    graphs = await readdir(graphsDir);
    profiles = await readdir(profileDir);
  });

  it('writes each graph as a model that ONNX Runtime opens', async () => {
    expect(graphs.sort()).toEqual([
      expect.stringMatching(/^graph-[0-9a-f]{12}\.onnx$/),
      expect.stringMatching(/^graph-[0-9a-f]{12}\.txt$/),
    ]);
    const session = await ort.InferenceSession.create(join(graphsDir, graphs[0]!));
    expect([session.inputNames, session.outputNames]).toEqual([['i0'], ['o0']]);
    await session.release();
  });

  it('lists its inputs, constants, nodes and outputs', async () => {
    expect(await readFile(join(graphsDir, graphs[1]!), 'utf8')).toBe(`inputs
  i0: float32 [1, 3]

constants
  c0: float32 [] = 0.5

nodes
  v1 = Mul(i0, c0)
  v2 = Transpose(v1) perm=[1, 0]
  o0 = Identity(v2)

outputs
  o0: float32 [3, 1]
`);
  });

  it("writes ONNX Runtime's profile of each session, whose events name operators", async () => {
    expect(profiles).toEqual([expect.stringMatching(/^graph-[0-9a-f]{12}-lane-0-threads-1_.+\.json$/)]);
    expect(profiles[0]!.slice(0, 18)).toBe(graphs[0]!.slice(0, 18));
    const events = JSON.parse(await readFile(join(profileDir, profiles[0]!), 'utf8')) as unknown[];
    expect(events).toContainEqual(
      expect.objectContaining({ cat: 'Node', args: expect.objectContaining({ op_name: 'Mul' }) }),
    );
  });
});
