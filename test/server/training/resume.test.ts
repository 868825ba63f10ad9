import type { ChildProcess } from 'node:child_process';
import { cp, open, readFile, rm, watch, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Card, cardSchema } from '../../../model/shelf/card.js';
import { ON_FAKE_MACHINE } from '../../support/fake-machine.js';
import type { DeviceFault } from '../../support/faulty-device.js';
import { testFolder } from '../../support/files.js';
import { unseam, unseamHere } from '../../support/product.js';

const folder = await testFolder();
const data = join(folder, 'data');
const begin = (models: string, ...args: string[]) => [
  ...['train', '--models', join(folder, models), '--scratch', folder, '--threads', '1', '--name', 'net'],
  ...['--images', join(data, 'images'), '--labels', join(data, 'labels'), '--classes', 'a,b,c'],
  ...['--channels', '4,8', '--tile', '70', '--epochs', '6', '--epoch-steps', '4', ...args],
];
const resume = (models: string, ...args: string[]) =>
  unseam([
    'train',
    '--models',
    join(folder, models),
    '--scratch',
    folder,
    '--threads',
    '1',
    '--name',
    'net',
    '--resume',
    ...args,
  ]);
const quoted = (text: string) => text.replace(/[()]/g, '\\$&');
const version = (models: string) => join(folder, models, 'net', '1');
const cardOf = async (models: string): Promise<Card> =>
  cardSchema.parse(JSON.parse(await readFile(join(version(models), 'card.json'), 'utf8')));

/** Sends a signal to a training once its checkpoint has the given number of epochs. */
async function trainUntil(models: string, epochs: number, signal: NodeJS.Signals, args: string[]) {
  let told = Promise.resolve();
  const started = (child: ChildProcess) => {
    const ready = new Promise<void>((resolve) => {
      child.stderr!.on('data', (text: Buffer) => text.includes('parameters;') && resolve());
    });
    told = ready.then(async () => {
      const path = join(version(models), 'training');
      const stop = AbortSignal.timeout(60_000);
      for await (const { filename } of watch(path, { signal: stop })) {
        if (filename !== 'state' || (await epochsOf(join(path, 'state'))) < epochs) continue;
        child.kill(signal);
        return;
      }
    });
  };
  const result = await unseam(begin(models, ...args), { started });
  await told;
  return result;
}

/** The number of epochs of a checkpoint, which may not exist yet. */
async function epochsOf(path: string): Promise<number> {
  const file = await open(path).catch(() => null);
  if (file === null) return 0;
  const text = (
    await file.read({ buffer: Buffer.alloc(2000) }).finally(() => file.close())
  ).buffer.toString();
  return Number(/"epoch":(\d+)/.exec(text)?.[1] ?? 0);
}

beforeAll(async () => {
  expect(await unseamHere(['samples', '-o', data, '-s', '120', '-n', '3'])).toMatchObject({ code: 0 });
});

describe('a training that is killed', () => {
  it.each([
    ['adam', []],
    ['sgd', ['--optimizer', 'sgd', '--momentum', '0.9', '--learning-rate', '0.01', '--accumulate', '2']],
    ['dropout', ['--dropout', '0.5', '--batch-norm', '--optimizer', 'adamw', '--clip', '1']],
  ])('in its fourth epoch and resumed has the weights of an uninterrupted one: %s', async (name, args) => {
    expect(await unseam(begin(`straight-${name}`, ...args))).toMatchObject({ code: 0 });
    expect(await trainUntil(`killed-${name}`, 3, 'SIGKILL', args)).toMatchObject({ code: null });
    const resumed = await resume(`killed-${name}`);
    expect(resumed).toMatchObject({ code: 0, stderr: expect.stringMatching(/resumed after [345] epochs/) });
    const [straight, killed] = [await cardOf(`straight-${name}`), await cardOf(`killed-${name}`)];
    expect(killed.weights).toEqual(straight.weights);
    expect(killed.scores).toEqual(straight.scores);

    const log = async (models: string) => {
      const lines = (await readFile(join(version(models), 'training', 'log.jsonl'), 'utf8'))
        .trim()
        .split('\n');
      return lines.map((line) => {
        const { pixelsPerSecond: _speed, seconds: _seconds, ...kept } = JSON.parse(line);
        return kept;
      });
    };
    expect(await log(`killed-${name}`)).toEqual(await log(`straight-${name}`));
  });
});

describe('a training whose device is lost', () => {
  const onDevice = ['--device', 'cpu:0'];

  it.each([
    ['in a step of its fourth epoch', { call: 'step', batch: 14 }, 'the process of cpu:0 ended (SIGKILL)'],
    [
      'in its third validation',
      { call: 'predict', batch: 3 },
      'the device was lost, and with it the network that was trained',
    ],
  ])('%s ends with its last checkpoint, and is resumed to the same weights', async (name, where, message) => {
    const models = `lost-${name.length}`;
    const fault: DeviceFault = { device: 0, how: 'exit', ...where };
    const env = { NODE_OPTIONS: ON_FAKE_MACHINE, DEVICE_FAULT: JSON.stringify(fault) };
    expect(await unseam(begin(models, ...onDevice), { env })).toMatchObject({
      code: 9,
      stderr: expect.stringMatching(
        new RegExp(
          `resume from the last checkpoint with: unseam train .+ --device cpu:0 --resume\\nunseam: ${quoted(message)}`,
        ),
      ),
    });
    expect(await resume(models, ...onDevice)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/resumed after [23] epochs/),
    });
    await unseam(begin(`${models}-straight`, ...onDevice));
    const straight = await cardOf(`${models}-straight`);
    expect((await cardOf(models)).weights).toEqual(straight.weights);
    expect(straight.training.command).toContain(' --device cpu:0 ');
  });
});

describe('Ctrl-C', () => {
  it('saves and stops within an epoch; the resumed training has the same result as an uninterrupted one', async () => {
    await unseam(begin('whole', '--epoch-steps', '40', '--epochs', '2'));
    const stopped = await trainUntil('stopped', 1, 'SIGINT', ['--epoch-steps', '40', '--epochs', '2']);
    expect(stopped).toMatchObject({
      code: 130,
      stderr: expect.stringContaining(
        `interrupted; resume with: unseam train --name net --models ${join(folder, 'stopped')} --threads 1 --scratch ${folder} --resume\n`,
      ),
    });
    const other = await resume('stopped', '--epochs', '3');
    expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/leave --epochs out/) });

    expect(await resume('stopped')).toMatchObject({ code: 0 });
    expect((await cardOf('stopped')).weights).toEqual((await cardOf('whole')).weights);
    const again = await resume('stopped');
    expect(again).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no unfinished training of "net"/),
    });
  });

  it('leaves an incomplete version, which is not served', async () => {
    await trainUntil('unserved', 1, 'SIGTERM', ['--epoch-steps', '40', '--epochs', '2']);
    expect((await unseamHere(['models', '--models', join(folder, 'unserved')])).stdout).toBe('');
  });
});

describe('a damaged checkpoint', () => {
  it('is refused, as is a changed data set', async () => {
    await trainUntil('damaged', 1, 'SIGKILL', []);
    const path = join(version('damaged'), 'training', 'state');
    const bytes = await readFile(path);
    const changed = Buffer.from(bytes);
    changed[changed.length - 1]! ^= 1;
    await writeFile(path, changed);
    expect(await resume('damaged')).toMatchObject({ code: 7, stderr: expect.stringMatching(/damaged/) });
    await writeFile(path, bytes.subarray(0, bytes.length - 8));
    expect(await resume('damaged')).toMatchObject({ code: 7 });
    await writeFile(path, bytes);
    const label = join(data, 'labels', 'shapes-0001.png');
    const kept = await readFile(label);
    await unseamHere(['samples', '-o', data, '-s', '120', '-n', '1', '--seed', '99']);
    await writeFile(label, await readFile(join(data, 'labels', 'shapes-0099.png')));
    expect(await resume('damaged')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/not those that the training began with/),
    });
    await writeFile(label, kept);
  });
});

describe('a training started by version 0.1.0', () => {
  const FORM = fileURLToPath(new URL('../../../../test/forms/training-1', import.meta.url));

  it.each([
    [
      'is resumed, and still selects the best network by pixel error',
      (_training: string) => Promise.resolve(),
      /after 2 epochs/,
    ],
    [
      'is restarted if it has no checkpoint',
      (training: string) => rm(join(training, 'state')),
      /no checkpoint yet: starting over/,
    ],
  ])('%s', async (name, change, message) => {
    const models = `form-${name.length}`;
    await cp(FORM, join(folder, models), { recursive: true });
    const training = join(version(models), 'training');
    const config = JSON.parse(await readFile(join(training, 'run.json'), 'utf8'));
    const data = { images: join(FORM, 'data/images'), labels: join(FORM, 'data/labels') };
    await writeFile(join(training, 'run.json'), JSON.stringify({ ...config, ...data }));
    await change(training);
    expect(await resume(models)).toMatchObject({ code: 0, stderr: expect.stringMatching(message) });
    expect((await cardOf(models)).training.best).toMatchObject({ monitor: 'pixelError' });
  });
});
