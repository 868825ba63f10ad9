import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import { archiveOf, DESCRIPTION_05, HALO, smallPackage } from '../../support/packages.js';
import { unseam, unseamHere } from '../../support/product.js';

const dir = await testFolder();
const models = join(dir, 'models');
const archive = join(dir, 'small.zip');
const onnx = join(dir, 'nuclei.onnx');
const logits = join(dir, 'logits.onnx');

/** One channel to the logits of two classes. */
function convolved(): Uint8Array {
  const graphs = new OnnxGraphs(1);
  return graphs.file(graphs.conv(graphs.relu(graphs.conv('image', 1, 4)), 4, 2));
}

/** Two channels to two classes, with instance normalisation, and the logits in front of the output as another one. */
function instanceNormalised(): Uint8Array {
  const graphs = new OnnxGraphs(2);
  const normalised = graphs.g.op('InstanceNormalization', [
    graphs.conv('image', 2, 4),
    graphs.weight([4], 0.5, 1.5),
    graphs.weight([4]),
  ]);
  const scores = graphs.conv(graphs.relu(normalised), 4, 2, 1);
  graphs.g.outputs.push({ name: normalised, element: 'float32', dims: ['n', 'c', 'y', 'x'] });
  return graphs.file(scores);
}

beforeAll(async () => {
  const made = await smallPackage();
  const description = structuredClone(DESCRIPTION_05);
  for (const axis of description.outputs[0]!.axes.slice(2)) Object.assign(axis, { halo: 1 });
  await writeFile(archive, archiveOf({ ...made, description }));
  await writeFile(onnx, instanceNormalised());
  await writeFile(logits, convolved());
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
      expect.stringMatching(`^exact: a halo of ${HALO}, ${HALO}, ${HALO}, ${HALO} px`),
      expect.stringMatching(/^verified: 0 of [\d,]+ values of tiles differ from one pass$/),
      expect.stringMatching(/^verified: px beyond the halo change none of [\d,]+ values$/),
      expect.stringMatching(/^its test: within its tolerance/),
      '',
    ]);
    const card = JSON.parse(await readFile(join(models, 'small', '1', 'card.json'), 'utf8'));
    expect(card).toMatchObject({ name: 'small', version: 1, imported: { source: 'small.zip' } });
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
      'a network that is not exact',
      () => [onnx, '--output', 'scores'],
      7,
      /is accepted .* with --approximate/,
    ],
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
    ['a text', () => [join(dir, 'notes.txt')], 7, /it is not an ONNX model/],
  ])('refuses %s by its exit code, and leaves no folder', async (_what, args, exitCode, reason) => {
    await writeFile(join(dir, 'notes.txt'), 'A text, which is no network.');
    const [source = '', ...more] = args();
    const { code, stderr } = await unseamHere(argsOf(source, ['--name', 'none', ...more]));
    expect(stderr).toMatch(reason);
    expect(code).toBe(exitCode);
    expect(existsSync(join(models, 'none'))).toBe(false);
  });
});
