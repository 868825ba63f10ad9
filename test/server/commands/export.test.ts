import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import { MODELS, unseam, unseamHere } from '../../support/product.js';

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

  it('notes a licence and an author that are missing, and how to name them', async () => {
    const args = ['export', 'shapes', '-o', join(dir, 'bare.zip'), '--no-tensorflow-js', '--models', MODELS];
    const { stderr } = await unseamHere(args);
    expect(stderr).toContain(
      "note: the package has no licence (--license CC-BY-4.0) and no author (--author 'A. Nobody')",
    );
    const named = [...args, '--license', 'MIT', '--author', 'A. Nobody'];
    expect((await unseamHere(named)).stderr).toBe('');
  });

  it('refuses a package of what was imported with --approximate, and says what can be exported', async () => {
    const graphs = new OnnxGraphs(1);
    const path = join(dir, 'inexact.onnx');
    const mean = graphs.g.op('GlobalAveragePool', ['image']);
    await writeFile(path, graphs.file(graphs.conv(graphs.g.op('Sub', ['image', mean]), 1, 2)));
    const models = join(dir, 'models');
    const importing = ['import', path, '--name', 'inexact', '--approximate', '32', '--threads', '1'];
    expect(await unseamHere([...importing, '--models', models])).toMatchObject({ code: 0 });
    const { code, stderr } = await unseamHere(['export', 'inexact', '-o', unwritten, '--models', models]);
    expect([code, stderr]).toEqual([
      2,
      'unseam: inexact has tiles of 32 px alone, since it was imported with --approximate, and a package is for images of ' +
        'any size: export its network alone, by --onnx FILE\n',
    ]);
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
