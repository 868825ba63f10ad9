import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ON_FAKE_MACHINE } from '../../support/fake-machine.js';
import type { DeviceFault } from '../../support/faulty-device.js';
import { testFolder } from '../../support/files.js';
import { unseam, unseamHere } from '../../support/product.js';
import { ownCacheDir, tensorflow, titled } from '../../support/tensorflow.js';

const folder = await testFolder();
const MODEL = 'shapes-notebook';

/** What programs read: a line of JSON for each device. */
async function accounts(cache: string, ...args: string[]) {
  const { code, stdout } = await unseam([
    'devices',
    '--model',
    MODEL,
    '--json',
    '--cache-dir',
    cache,
    ...args,
  ]);
  expect(code).toBe(0);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
const exactness = (account: { models: { graphs: { tiling: unknown }[] }[] }) =>
  account.models.flatMap(({ graphs }) => graphs.map(({ tiling }) => tiling));

describe('unseam devices', () => {
  it('lists what this machine may have, and says in a sentence what each device lacks', async () => {
    const [cpu, ...others] = await accounts(join(folder, 'none'));
    expect(cpu).toMatchObject({
      device: 'cpu',
      failure: null,
      driver: null,
      precision: 'fp32',
      versions: { 'onnxruntime-node': '1.30.0' },
    });
    expect(others.map(({ device }) => device)).toEqual(expect.arrayContaining(['cuda:0', 'webgpu:0']));
    const cuda = others.find(({ device }) => device === 'cuda:0');
    expect(cuda.failure).toMatch(/^CUDA (is not set up|needs Linux)/);
    const last = others.at(-1);
    expect(last.device).toBe('tensorflow');
    if (!tensorflow) {
      expect(last.failure).toMatch(
        /^TensorFlow is not set up in \S+\/none\/tensorflow: run "unseam setup tensorflow --cache-dir \S+\/none"/,
      );
    }
  });

  it('lists the devices of one engine, and those that are named', async () => {
    const names = async (...args: string[]) =>
      (await accounts(join(folder, 'none'), ...args)).map(({ device }) => device);
    expect(await names('--engine', 'tensorflow')).toEqual(['tensorflow']);
    expect(await names('--device', 'cuda:0,cuda:1')).toEqual(['cuda:0', 'cuda:1']);
    process.env.UNSEAM_DEVICE = 'cpu';
    try {
      expect(await names()).toEqual(['cpu']);
    } finally {
      delete process.env.UNSEAM_DEVICE;
    }
  });

  it.each([
    ['--threads 2 is for --device cpu: a GPU uses none of them', ['--device', 'cuda', '--threads', '2']],
    ['--precision fp16 is for GPUs: the CPU computes in fp32', ['--device', 'cpu', '--precision', 'fp16']],
    ['--device cuda:0 is for --engine onnx', ['--device', 'cuda', '--engine', 'tensorflow']],
  ])('drops no option: %s', async (message, args) => {
    const result = await unseam(['devices', '--model', MODEL, ...args]);
    expect(result).toMatchObject({ code: 2, stderr: `unseam: ${message}\n` });
  });

  it('refuses devices that are named one by one', async () => {
    expect(await unseam(['devices', '--device', 'cuda:0', '--device', 'cuda:1'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        'It is given twice: name several devices at once, such as cuda:0,cuda:1.',
      ),
    });
  });

  it.skipIf(!tensorflow)(titled('states what computes with TensorFlow'), async () => {
    const [account] = await accounts(ownCacheDir!, '--engine', 'tensorflow');
    expect(account).toMatchObject({
      device: 'tensorflow',
      failure: null,
      precision: 'fp32',
      versions: { tensorflow: expect.any(String) },
    });
    expect(account.versions).not.toHaveProperty('onnxruntime-commit');
  });

  it('states what was tested before, and tests the rest on request', { timeout: 120_000 }, async () => {
    const cache = join(folder, 'tested');
    const [untested] = await accounts(cache, '--device', 'cpu');
    expect(untested.models).toMatchObject([{ model: MODEL, version: 1, tuning: null, failure: null }]);
    expect(exactness(untested)).toEqual([null, null, null, null]);
    const [tested] = await accounts(cache, '--device', 'cpu', '--test');
    expect(exactness(tested)).toEqual(Array(4).fill({ exact: true, largestDifference: 0 }));
    expect(await accounts(cache, '--device', 'cpu')).toEqual([tested]);
  });

  it('prints a table for people', async () => {
    const { code, stdout } = await unseam([
      'devices',
      '--model',
      MODEL,
      '--device',
      'cpu',
      '--cache-dir',
      join(folder, 'table'),
    ]);
    expect(code).toBe(0);
    const [device, versions, head, row] = stdout.split('\n');
    expect(device).toMatch(/^cpu: .+, fp32$/);
    expect(versions).toMatch(/^ {2}unseam \S+, .*onnxruntime-commit [0-9a-f]+$/);
    expect(head).toMatch(/^ {2}model +labels +labels --tta +probabilities +probabilities --tta +tuned$/);
    expect(row).toMatch(/^ {2}shapes-notebook\/1 +(not tested +){4}not measured$/);
  });

  it('refuses a model that does not exist', async () => {
    expect(await unseam(['devices', '--model', 'none'])).toMatchObject({ code: 3 });
  });
});

describe('a plan', () => {
  it('says why auto is no GPU, and nothing where the CPU was requested', async () => {
    await unseamHere(['samples', '-o', folder, '-s', '100']);
    const image = join(folder, 'images', 'shapes-0001.png');
    const computeOn = async (device: string) => {
      const { stdout } = await unseam([
        'plan',
        image,
        '-m',
        MODEL,
        '--device',
        device,
        '--cache-dir',
        join(folder, 'plan'),
        '--json',
      ]);
      return JSON.parse(stdout).compute;
    };
    expect(await computeOn('cpu')).toMatchObject({ fallback: null });
    expect(await computeOn('auto')).toMatchObject({
      fallback: expect.stringMatching(/NVIDIA driver|CUDA is not set up/),
    });
  });
});

describe('segment on automatic devices', () => {
  it('goes on with the CPU where the GPU is lost, with the image in which that happens', async () => {
    const cache = join(folder, 'lost');
    await mkdir(join(cache, 'cuda'), { recursive: true });
    await writeFile(join(cache, 'cuda', 'manifest.json'), '');
    const inputs: string[] = [];
    for (const size of ['150', '300']) {
      await unseamHere(['samples', '-o', join(folder, size), '-s', size]);
      inputs.push(join(folder, `${size}.png`));
      await copyFile(join(folder, size, 'images', 'shapes-0001.png'), inputs.at(-1)!);
    }
    const segment = (out: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
      unseam(['segment', ...inputs, '-m', 'shapes', '-o', join(folder, out), '--tile', 'whole', ...args], {
        env,
      });
    await segment('by-cpu', ['--device', 'cpu']);
    const fault: DeviceFault = { device: 0, how: 'exit', width: 350 };
    const env = { NODE_OPTIONS: ON_FAKE_MACHINE, DEVICE_FAULT: JSON.stringify(fault) };
    const { code, stdout, stderr } = await segment('by-auto', ['--json', '--cache-dir', cache], env);
    expect(stderr).toContain(
      'no GPU is used: a device failed repeatedly with a tile: the process of cuda:0 ended (SIGKILL)\n',
    );
    expect(code).toBe(0);
    const devices = stdout.split('\n', 2).map((line) => JSON.parse(line).device);
    expect(devices).toEqual(['cuda:0: Fake GPU, fp32', expect.stringMatching(/^cpu /)]);
    for (const name of ['150.png', '300.png']) {
      const mask = await readFile(join(folder, 'by-auto', name));
      expect(mask.equals(await readFile(join(folder, 'by-cpu', name)))).toBe(true);
    }
  });
});
