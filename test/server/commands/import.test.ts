import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../../model/shelf/checkpoint.js';
import { testFolder } from '../../support/files.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import { archiveOf, DESCRIPTION_05, HALO, smallPackage } from '../../support/packages.js';
import { unseam, unseamHere } from '../../support/product.js';

const dir = await testFolder();
const models = join(dir, 'models');
const archive = join(dir, 'small.zip');
const onnx = join(dir, 'nuclei.onnx');
const logits = join(dir, 'logits.onnx');
const one = join(dir, 'one.onnx');
const sigmoids = join(dir, 'sigmoids.onnx');
const normalising = join(dir, 'normalising.onnx');
const fixed = join(dir, 'fixed.onnx');

/** One channel to the logits of some classes. */
function convolved(outputs: number, ending?: string): Uint8Array {
  const graphs = new OnnxGraphs(1);
  const scores = graphs.conv(graphs.relu(graphs.conv('image', 1, 4)), 4, outputs);
  const attributes = ending === 'ArgMax' ? { axis: 1 } : {};
  return graphs.file(ending === undefined ? scores : graphs.g.op(ending, [scores], attributes));
}

/** A network that subtracts the mean of its image from it. */
function centred(): Uint8Array {
  const graphs = new OnnxGraphs(1);
  const mean = graphs.g.op('GlobalAveragePool', ['image']);
  return graphs.file(graphs.conv(graphs.g.op('Sub', ['image', mean]), 1, 2));
}

/** Two channels to two classes, with instance normalisation, and the logits in front of the output as another one. */
function instanceNormalised(sides?: readonly [number, number], hasSeveral = true): Uint8Array {
  const graphs = new OnnxGraphs(2, sides);
  const normalised = graphs.g.op('InstanceNormalization', [
    graphs.conv('image', 2, 4),
    graphs.weight([4], 0.5, 1.5),
    graphs.weight([4]),
  ]);
  const scores = graphs.conv(graphs.relu(normalised), 4, 2, 1);
  if (hasSeveral) graphs.g.outputs.push({ name: normalised, element: 'float32', dims: ['n', 'c', 'y', 'x'] });
  return graphs.file(scores);
}

beforeAll(async () => {
  const made = await smallPackage();
  const description = structuredClone(DESCRIPTION_05);
  for (const axis of description.outputs[0]!.axes.slice(2)) Object.assign(axis, { halo: 1 });
  await writeFile(archive, archiveOf({ ...made, description }));
  await writeFile(onnx, instanceNormalised());
  await writeFile(logits, convolved(2));
  await writeFile(one, convolved(1));
  await writeFile(sigmoids, convolved(2, 'Sigmoid'));
  await writeFile(normalising, centred());
  await writeFile(fixed, instanceNormalised([32, 32], false));
});

const argsOf = (source: string, args: readonly string[]) =>
  ['import', source, '--models', models, '--threads', '1', ...args] as const;
const importing = (source: string, ...args: readonly string[]) => unseam(argsOf(source, args));

describe('unseam import', () => {
  it('makes a model of a package, and says what was verified', async () => {
    const { code, stdout } = await importing(archive, '--name', 'small', '--derive-halo');
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^small\/1: \d+ parameters, 1 channel, 2 classes$/),
      'input: zero_mean_unit_variance',
      'output: logits of a sigmoid',
      'classes: background, nucleus',
      expect.stringMatching(`^exact: a halo of ${HALO}, ${HALO}, ${HALO}, ${HALO} px`),
      expect.stringMatching(/^verified: 0 of [\d,]+ values of tiles differ from one pass$/),
      expect.stringMatching(/^verified: px beyond the halo change none of [\d,]+ values$/),
      expect.stringMatching(/^its test: within its tolerance/),
      '',
    ]);
    const card = JSON.parse(await readFile(join(models, 'small', '1', 'card.json'), 'utf8'));
    expect(card).toMatchObject({ name: 'small', version: 1, imported: { source: 'small.zip' } });
  });

  it('says what it takes for granted of a file that says nothing', async () => {
    const { code, stdout, stderr } = await unseamHere(argsOf(logits, ['--name', 'assumed']));
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.not.stringContaining('note') });
    expect(stdout.split('\n').slice(1, 4)).toEqual([
      "input: values from 0 to 1, by the range of the image's type (assumed; if they are as stored: --normalisation none)",
      'output: logits of a softmax (assumed; see --scores)',
      'classes: background, class 1',
    ]);
  });

  it('takes values as they are stored, and notes probabilities that are none', async () => {
    const options = ['--normalisation', 'none', '--scores', 'probabilities'];
    const { stdout, stderr } = await unseamHere(argsOf(logits, ['--name', 'stored', ...options]));
    expect(stdout).toContain('\ninput: values as they are stored\noutput: probabilities\n');
    expect(stderr).toMatch(/note: it returns values from -\S+ to \S+ for noise, .*: if they are logits/);
    const card = JSON.parse(await readFile(join(models, 'stored', '1', 'card.json'), 'utf8'));
    expect(card.normalisation).toEqual([]);
  });

  it('notes that labels in which a graph ends do not say what its scores are', async () => {
    const compared = join(dir, 'compared.onnx');
    await writeFile(compared, convolved(3, 'ArgMax'));
    const args = argsOf(compared, ['--name', 'compared', '--scores', 'probabilities']);
    const { stdout, stderr } = await unseamHere(args);
    expect(stdout).toContain('\nclasses: background, class 1, class 2\n');
    expect(stderr).toContain('note: its graph ends in labels');
    expect(stderr).not.toContain('sigmoid');
  });

  it.each([
    ['nucleus,membrane', ['background', 'nucleus', 'membrane'], 'sigmoid'],
    ['background,nucleus,membrane', ['background', 'nucleus', 'membrane'], 'sigmoid'],
    ['Background,nucleus', ['Background', 'nucleus'], 'probabilities'],
  ])('of two sigmoids named %s has the classes %j', async (named, classes, kind) => {
    const name = named.toLowerCase().replaceAll(',', '-');
    const { stdout } = await unseamHere(argsOf(sigmoids, ['--name', name, '--classes', named]));
    expect(stdout).toContain(`\nclasses: ${classes.join(', ')}\n`);
    const { network, card } = await loadCheckpoint(join(models, name, '1'));
    expect([network.head.kind, card.classes.map((each) => each.name)]).toEqual([kind, classes]);
    const colours = card.classes.map(({ colour }) => colour);
    expect([colours[0], new Set(colours).size]).toEqual([null, classes.length]);
    network.dispose();
  });

  it('of two sigmoids is the same, whether the graph computes them or the card says so', async () => {
    const image = join(dir, 'noise.png');
    const pixels = Uint8Array.from({ length: 60 * 50 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
    await sharp(pixels, { raw: { width: 60, height: 50, channels: 1 } })
      .png()
      .toFile(image);
    const resultsOf = async (name: string, source: string, ...options: string[]) => {
      const classes = ['--classes', 'background,nucleus'];
      await unseamHere(argsOf(source, ['--name', name, ...classes, ...options]));
      const { network, card, digest } = await loadCheckpoint(join(models, name, '1'));
      network.dispose();
      expect(card.classes).toHaveLength(2);
      const [labels, probabilities] = [join(dir, `${name}.png`), join(dir, `${name}.raw`)];
      const choice = ['--models', models, '--threads', '1', '--no-cache'];
      await unseamHere([
        ...['segment', image, '-m', name, '-o', labels, '--also', `probabilities=${probabilities}`],
        ...choice,
      ]);
      return { digest, labels: await readFile(labels), probabilities: await readFile(probabilities) };
    };
    const graph = await resultsOf('in-graph', sigmoids);
    const step = await resultsOf('by-step', logits, '--scores', 'sigmoid');
    expect(new Set(await sharp(step.labels).raw().toBuffer()).size).toBe(2);
    expect(step.labels).toEqual(graph.labels);
    const values = ({ buffer, byteOffset, length }: Buffer) =>
      new Float32Array(buffer.slice(byteOffset, byteOffset + length));
    const [ofGraph, ofStep] = [values(graph.probabilities), values(step.probabilities)];
    const differences = ofStep.map((value, i) => Math.abs(value - ofGraph[i]!));
    expect(ofStep).toHaveLength(2 * 60 * 50);
    expect(Math.max(...differences)).toBeLessThan(1e-6);
    expect(step.digest).not.toBe(graph.digest);
  });

  it.each([
    ['nucleus,background', 'has to be the first'],
    ['background,nucleus,membrane,border', 'and 4 are named; name 2, background the first'],
  ])('of two sigmoids named %s is refused', async (named, reason) => {
    for (const [source, ...options] of [[sigmoids], [logits, '--scores', 'sigmoid']] as const) {
      const args = argsOf(source, ['--name', 'refused', '--classes', named, ...options]);
      const { code, stderr } = await unseamHere(args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(reason)]);
    }
  });

  it('has tiles of all sizes of an exact network, also with --approximate', async () => {
    const { stdout, stderr } = await unseamHere(
      argsOf(logits, ['--name', 'needless', '--approximate', '250']),
    );
    expect(stdout).toMatch(/\nexact: a halo of /);
    expect(stderr).toContain('note: --approximate was not needed: the network is exact');
  });

  it('says by how much the halo of small tiles is less than what is needed', async () => {
    const { stdout } = await unseamHere(
      argsOf(onnx, ['--name', 'cut', '--output', 'scores', '--approximate', '3']),
    );
    expect(stdout).toMatch(
      /\nnot exact: tiles of 3 px alone, with a halo of 0, 0, 0, 0 px, of the 1, 1, 1, 1 px that what is exact/,
    );
  });

  it('says that a file which fixes the size of its images has tiles of that', async () => {
    const { stdout, stderr } = await unseamHere(argsOf(fixed, ['--name', 'fixed', '--approximate', '64']));
    expect(stdout).toContain('not exact: tiles of 32 px alone, to which its file fixes images,');
    expect(stderr).toContain('--approximate 64 is ignored: the file fixes its images to 32 × 32 px');
  });

  it('refuses a version that exists before anything is computed', async () => {
    await mkdir(join(models, 'there', '4'), { recursive: true });
    const { code, stderr } = await unseamHere(argsOf(logits, ['--name', 'there', '--model-version', '4']));
    expect([code, stderr]).toEqual([
      2,
      'unseam: the model there/4 exists already: give another --name, or --model-version 5\n',
    ]);
  });

  it('ends its process where the engine has refused the network', async () => {
    const { code, stderr } = await importing(onnx, '--name', 'none', '--output', 'scores');
    expect([code, stderr]).toEqual([
      7,
      expect.stringMatching(
        /^deriving the geometry …\nunseam: layer "[^"]+" prevents exact tiling: .* with --approximate, in tiles of one size, and not exact\n$/,
      ),
    ]);
  });

  it('puts what its options say into the card', async () => {
    const { code, stdout, stderr } = await importing(
      onnx,
      ...['--name', 'nuclei', '--model-version', '3', '--output', 'scores', '--scores', 'sigmoid', '--json'],
      ...['--image-channels', 'DAPI|Hoechst,CD45', '--classes', 'background,nucleus:#ff0000,membrane'],
      ...['--microns-per-pixel', '0.325', '--approximate', '64'],
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const card = JSON.parse(stdout);
    expect(card).toMatchObject({
      name: 'nuclei',
      version: 3,
      architecture: { kind: 'onnx', tileable: false, smallest: 64 },
      inputChannels: 2,
      channels: [
        { name: 'DAPI', aliases: ['Hoechst'] },
        { name: 'CD45', aliases: [] },
      ],
      classes: [
        { name: 'background', colour: null },
        { name: 'nucleus', colour: '#ff0000' },
        { name: 'membrane', colour: '#3182bd' },
      ],
      postprocessing: [{ step: 'sigmoid' }],
      micronsPerPixel: 0.325,
      imported: { source: 'nuclei.onnx', verification: { tiles: null } },
    });
    expect(JSON.parse(await readFile(join(models, 'nuclei', '3', 'card.json'), 'utf8'))).toMatchObject(card);
  });

  it.each([
    [
      'another number of channels',
      () => [archive, '--image-channels', 'a,b'],
      2,
      /takes 1 channel, not the 2/,
    ],
    ['numbers of channels', () => [onnx, '--image-channels', '1=a,0=b'], 2, /give names alone/],
    [
      'an output that a file of several does not have',
      () => [onnx, '--output', 'none'],
      2,
      /--output none: the file has no such output; its outputs are "[^"]+", "scores"/,
    ],
    [
      'an output that a file of one does not have',
      () => [logits, '--output', 'none'],
      2,
      /--output none: the file has no such output; its only one is "scores"/,
    ],
    [
      'a text',
      () => [join(dir, 'notes.txt')],
      7,
      /notes\.txt: it is not an ONNX model, or damaged: expected an ONNX file, a package of BioImage\.IO/,
    ],
    [
      'a normalisation of a package',
      () => [archive, '--normalisation', 'none'],
      2,
      /--normalisation is for networks alone; small\.zip is a package, which states it/,
    ],
    [
      'a softmax of one channel',
      () => [one, '--scores', 'softmax'],
      2,
      /--scores softmax: the network returns one channel, whose softmax is always 1/,
    ],
    ['classes of one name', () => [logits, '--classes', 'a,b,b'], 2, /two classes are named "b"/],
    [
      'an image that the network normalises',
      () => [normalising],
      7,
      /if it normalises the image, export the network without it, and have the model's card do it/,
    ],
  ])('refuses %s by its exit code, and leaves no folder', async (_what, args, exitCode, reason) => {
    await writeFile(join(dir, 'notes.txt'), 'A text, which is no network.');
    const [source = '', ...more] = args();
    const { code, stderr } = await unseamHere(argsOf(source, ['--name', 'none', ...more]));
    expect(stderr).toMatch(reason);
    expect(code).toBe(exitCode);
    expect(existsSync(join(models, 'none'))).toBe(false);
  });
});
