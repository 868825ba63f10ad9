import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam } from '../../support/product.js';

const dir = await testFolder();

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
    [['nothing', '-o', 'x.zip'], 3, /no model is named "nothing"/],
    [['em-membrane/1-int8', '-o', 'x.zip'], 2, /quantised versions are not exported/],
  ])('refuses %j', async (args, exitCode, reason) => {
    const { code, stderr } = await unseam(['export', ...args, '--models', MODELS]);
    expect(stderr).toMatch(reason);
    expect(code).toBe(exitCode);
  });
});

describe('unseam import', () => {
  it('refuses what is no network by a code of its own', async () => {
    const path = join(MODELS, 'shapes', '1', 'card.json');
    const { code, stderr } = await unseam(['import', path, '--name', 'none', '--models', dir]);
    expect(stderr).toMatch(/^unseam: card\.json: modelTopology/m);
    expect(code).toBe(6);
    const text = join(dir, 'notes.txt');
    await writeFile(text, 'A text, which is no network.');
    const refused = await unseam(['import', text, '--name', 'none', '--models', dir]);
    expect(refused).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/^unseam: it is not an ONNX model/m),
    });
  });
});
