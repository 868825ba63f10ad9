import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam } from '../../support/product.js';

const dir = await testFolder();
const unwritten = join(dir, 'unwritten');

describe('unseam export', () => {
  it('writes a package and the network alone, and says so', async () => {
    const [out, onnx] = [join(dir, 'shapes.zip'), join(dir, 'shapes.onnx')];
    const { code, stdout } = await unseam([
      'export',
      'shapes',
      '-o',
      out,
      '--onnx',
      onnx,
      '--json',
      '--models',
      MODELS,
    ]);
    const facts = JSON.parse(stdout) as { files: string[]; onnxBytes: number };
    expect({ code, ...facts }).toMatchObject({ code: 0, model: 'shapes', version: 1, largestDifference: 0 });
    expect(facts.files).toContain('tensorflow_js.zip');
    expect((await readFile(onnx)).length).toBe(facts.onnxBytes);
    expect((await readFile(out)).subarray(0, 2).toString()).toBe('PK');
  });

  it.each([
    [['shapes'], 2, /name what to write/],
    [['shapes', '--onnx', unwritten, '--license', 'MIT'], 2, /--license <id> is of a package/],
    [['nothing', '-o', unwritten], 3, /no model is named "nothing"/],
    [['em-membrane/1-int8', '-o', unwritten], 2, /quantised versions are not exported/],
  ])('refuses %j', async (args, exitCode, reason) => {
    const { code, stderr } = await unseam(['export', ...args, '--models', MODELS]);
    expect(stderr).toMatch(reason);
    expect(code).toBe(exitCode);
  });
});
