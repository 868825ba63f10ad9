import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { configOf } from '../../../model/onnx/providers.js';

/** The options of a session as ONNX Runtime logs them. */
async function loggedOptions(entries: Readonly<Record<string, string>>): Promise<string> {
  const moduleAt = (path: string) =>
    JSON.stringify(new URL(`../../../model/onnx/${path}`, import.meta.url).href);
  const program = `
    import * as ort from ${JSON.stringify(import.meta.resolve('onnxruntime-node'))};
    import { encodeModel } from ${moduleAt('proto.js')};
    import { GraphWriter } from ${moduleAt('writer.js')};
    const g = new GraphWriter();
    g.inputs.push({ name: 'x', element: 'float32', dims: [1] });
    g.nodes.push({ opType: 'Neg', input: ['x'], output: ['y'], attributes: {} });
    g.outputs.push({ name: 'y', element: 'float32', dims: [1] });
    await ort.InferenceSession.create(encodeModel(g), {
      logSeverityLevel: 0,
      extra: { session: ${JSON.stringify(entries)} },
    });
  `;
  const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  return stderr;
}

describe('a session', () => {
  it.each([
    ['cuda', 1],
    ['webgpu', 1],
    ['cpu', 0],
  ] as const)('of %s is requested to compute deterministically: %d', async (provider, value) => {
    expect(await loggedOptions(configOf(provider))).toContain(`use_deterministic_compute:${value}`);
  });
});
