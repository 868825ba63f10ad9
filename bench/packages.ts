import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { Engine } from '../model/engine/engine.js';
import { ModelShelf } from '../model/shelf/shelf.js';
import { writeWhole } from '../model/shelf/whole-file.js';
import { exportPackage } from '../server/packages/export-package.js';
import { importNetwork } from '../server/packages/import-network.js';
import { readImportSource } from '../server/packages/import-source.js';
import { predictWholeImage } from '../server/packages/whole-image.js';
import { SAMPLE_KINDS } from '../tiling/samples/sample.js';
import type { Bench } from './bench.js';
import { runProcess } from './rivals/process.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = join(ROOT, 'bench/packages');
const MODELS = join(ROOT, 'models');
const LIMITS = { differing: 0, mismatches: 0, failed: 0 };
/** Sides of the pictures that Python's ONNX Runtime computes. */
const PICTURE = { width: 700, height: 523 };
const EXPORTED = ['shapes', 'em-membrane', 'shapes-notebook'] as const;
/** Of the images that the weights for TensorFlow.js take. */
const SIDE = 100;

/** The environment of Python; see `bench/packages/requirements.txt`. */
export const options = { python: { type: 'string', default: join(FOLDER, '.venv/bin/python') } } as const;

const compared = z.object({ onnxruntime: z.string(), values: z.int(), differing: z.int() });

/**
 * Packages out: `bioimageio test` has to pass, and Python's ONNX Runtime to give the bits that are served; exported and
 * imported again, a model has to give the same mask. Packages in: those that bioimageio.spec accepts, of both forms, with
 * weights of ONNX, Keras and PyTorch, have to compute their test tensors.
 */
export const bench: Bench = async (log, { python }) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  try {
    const exported = [];
    for (const name of EXPORTED) exported.push(await exportOne(engine, dir, name, String(python), log));
    const imported = await importAll(engine, dir, String(python), log);
    const differing = exported.reduce((sum, each) => sum + each.differing + each.maskDiffering, 0);
    const failed = exported.filter(({ isValid }) => !isValid).length;
    const mismatches = imported.reduce((sum, each) => sum + each.mismatches, 0);
    const holds = differing <= LIMITS.differing && failed <= LIMITS.failed && mismatches <= LIMITS.mismatches;
    return { exported, imported, limits: LIMITS, holds };
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
};

/** Exports a model of the package, and compares what Python computes of a picture with what is served. */
async function exportOne(
  engine: Engine,
  dir: string,
  name: (typeof EXPORTED)[number],
  python: string,
  log: Log,
) {
  const model = await new ModelShelf(MODELS).find(name);
  const request = {
    model,
    type: 'uint8',
    side: SIDE,
    license: 'MIT',
    authors: ['unseam'],
    doi: undefined,
  } as const;
  const { parts } = await exportPackage(engine, { ...request, tensorflowJs: false });
  const path = join(dir, `${name}.zip`);
  await writeWhole(path, parts);
  const test = await runProcess(python, ['-m', 'bioimageio.core', 'test', path]).catch(() => null);
  const { width, height } = PICTURE;
  const image = new Uint8Array(width * height);
  const kind = name === 'em-membrane' ? 'membranes' : 'shapes';
  SAMPLE_KINDS[kind].paint({ x: 0, y: 0, width, height }, 1, image, new Uint8Array(image.length));
  const files = { image: join(dir, 'image.raw'), served: join(dir, 'served.raw') };
  const served = await segment(engine, model.folder, image);
  await writeWhole(files.image, [image]);
  await writeWhole(files.served, [new Uint8Array(served.buffer)]);
  const args = [join(FOLDER, 'compare.py'), path, files.image, files.served, `${height}`, `${width}`];
  const result = compared.parse(JSON.parse((await runProcess(python, args)).stdout));
  const folder = join(dir, 'models', name, '1');
  const { notes: _, ...source } = await readImportSource(path, { output: null, derivesHalo: false });
  await importNetwork({ engine, folder, name, version: 1, source: 'bench', ...source });
  const again = await segment(engine, folder, image);
  const classes = model.card.classes.length;
  const maskDiffering = countLabels(served, again, classes);
  log(
    `${name}: ${result.differing} of ${result.values} values differ, ${maskDiffering} px of the mask of its import`,
  );
  return { name, isValid: test !== null, ...result, maskDiffering };
}

type Log = (line: string) => void;

/** The probabilities of a picture, of one pass over it. */
async function segment(engine: Engine, folder: string, image: Uint8Array): Promise<Float32Array> {
  const model = await engine.load(folder);
  try {
    return await predictWholeImage(engine, model, image, PICTURE);
  } finally {
    await engine.unload(model.id);
  }
}

function countLabels(a: Float32Array, b: Float32Array, classes: number): number {
  const label = (values: Float32Array, at: number) => {
    const own = values.subarray(at, at + classes);
    return own.indexOf(own.reduce((most, value) => Math.max(most, value)));
  };
  let differing = 0;
  for (let at = 0; at < a.length; at += classes) if (label(a, at) !== label(b, at)) differing++;
  return differing;
}

/** Builds packages in Python, converts those of PyTorch, and imports all. */
async function importAll(engine: Engine, dir: string, python: string, log: Log) {
  const built = join(dir, 'built');
  await runProcess(python, [join(FOLDER, 'build.py'), built]);
  const results = [];
  for (const file of (await readdir(built)).filter((name) => name.endsWith('.zip')).sort()) {
    const name = file.slice(0, -4);
    let path = join(built, file);
    if (/^(torch|script)/.test(name)) {
      const converted = join(built, `${name}-onnx.zip`);
      await runProcess(python, [join(ROOT, 'tools/from-pytorch.py'), path, '-o', converted, '--yes']);
      path = converted;
    }
    const folder = join(dir, 'models', name, '1');
    const { notes: _, ...source } = await readImportSource(path, { output: null, derivesHalo: false });
    const card = await importNetwork({ engine, folder, name, version: 1, source: 'bench', ...source });
    const { test, tiles } = card.imported!.verification;
    log(`${name}: its test within ${test!.largestDifference}, tiles differ in ${tiles!.differing} values`);
    results.push({ name, ...test!, tiles });
  }
  return results;
}
