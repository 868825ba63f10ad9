import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import { testFolder } from '../../support/files.js';
import { testServer, unseam, unseamHere } from '../../support/product.js';
import { SOFTWARE_GPU, titled } from '../../support/software-gpu.js';
import { writeUntrained } from '../../support/untrained.js';

const folder = await testFolder();
const image = join(folder, 'images', 'shapes-0001.png');
/** Where both the command line and the server store the outcomes of tests. */
const cache = join(folder, 'data');
const models = join(folder, 'models');
const model = ['--models', models, '-m', 'untrained'];
let expected: Buffer;

/** The mask of the image in a file, and its receipt. */
async function segment(...args: string[]) {
  const out = join(folder, 'mask.png');
  const result = await unseam(['segment', image, ...model, '-o', out, '--json', ...args]);
  expect(result).toMatchObject({ code: 0 });
  return { mask: await readFile(out), receipt: JSON.parse(result.stdout), stderr: result.stderr };
}

/** A GPU in software: the time is that of compiling shaders. */
describe.skipIf(SOFTWARE_GPU === null)(titled('a small image on WebGPU'), () => {
  beforeAll(async () => {
    Object.assign(process.env, SOFTWARE_GPU); // of this process's children
    const engine = Engine.start({ provider: 'cpu', threads: 1 });
    await writeUntrained(engine, join(models, 'untrained', '1'), {
      channels: [4, 8],
      inputChannels: 1,
      classes: 2,
      seed: 1,
    });
    await engine.close();
    await unseamHere(['samples', '-o', folder, '-s', '130x100']);
    expected = (await segment('--device', 'cpu')).mask;
    const { channels } = await sharp(expected).stats();
    expect(channels[0]!.stdev).toBeGreaterThan(0); // it has both classes
  });

  it('has the mask of the CPU, and a receipt that names the device, whose test is listed', {
    timeout: 240_000,
  }, async () => {
    const { mask, receipt, stderr } = await segment('--device', 'webgpu', '--cache-dir', cache);
    expect(mask.equals(expected)).toBe(true);
    expect(receipt).toMatchObject({
      device: expect.stringMatching(/^webgpu:0: SwiftShader Device.*, driver [\d.]+, fp32$/),
      exact: expect.any(Boolean),
      largestDifference: expect.any(Number),
      compute: { lanes: 1, fallback: null },
    });
    expect(receipt.exact).toBe(receipt.largestDifference === 0);
    expect(stderr).toContain('testing untrained on webgpu:0: labels\n');

    const { stdout } = await unseam([
      'devices',
      '--device',
      'webgpu',
      ...model,
      '--cache-dir',
      cache,
      '--json',
    ]);
    const { failure, models } = JSON.parse(stdout);
    expect(failure).toBe(null);
    const [labels, ...others] = models[0].graphs;
    expect(labels.tiling).toMatchObject({ largestDifference: expect.any(Number) });
    expect(others.map(({ tiling }: { tiling: unknown }) => tiling)).toEqual([null, null, null]);
  });

  it('has the same mask from a server, which states the device', { timeout: 240_000 }, async () => {
    const server = await testServer(cache, {
      models,
      engine: { provider: 'webgpu', devices: [0], threads: 1 },
    });
    try {
      const response = await fetch(`${server.url}/v1/segment?model=untrained`, {
        method: 'POST',
        body: new Uint8Array(await readFile(image)),
        headers: { accept: 'image/png' },
      });
      expect(response.status).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true);
      expect(JSON.parse(response.headers.get('unseam-receipt')!)).toMatchObject({
        device: expect.stringMatching(/^webgpu:0: .+, fp32$/),
        exact: expect.any(Boolean),
        largestDifference: expect.any(Number),
      });
      expect(await (await fetch(`${server.url}/readyz`)).text()).toMatch(
        /^ok\nwebgpu:0: ok \(.+, fp32.*\)\n/,
      );
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      expect(metrics).toMatch(/^unseam_device_up\{device="webgpu:0"\} 1$/m);
      expect(metrics).toMatch(/^unseam_tiling_exact\{model="untrained",output="labels",.*\} [01]$/m);
    } finally {
      await server.close();
    }
  });
});

describe.skipIf(process.platform !== 'linux')('--device webgpu', () => {
  it('says what a machine without an adapter lacks', async () => {
    const own = join(folder, 'none');
    await unseamHere(['samples', '-o', own, '-s', '100']);
    const drivers = process.env.VK_ICD_FILENAMES;
    process.env.VK_ICD_FILENAMES = join(folder, 'none.json');
    try {
      const mask = join(own, 'mask.png');
      const args = [
        join(own, 'images', 'shapes-0001.png'),
        '-m',
        'shapes-notebook',
        '-o',
        mask,
        '--device',
        'webgpu',
      ];
      expect(await unseam(['segment', ...args])).toMatchObject({
        code: 9,
        stderr: expect.stringContaining(
          "webgpu:0: the system has no WebGPU adapter; install the GPU's Vulkan driver, and the loader (Debian: libvulkan1; RHEL: vulkan-loader)\n",
        ),
      });
    } finally {
      if (drivers === undefined) delete process.env.VK_ICD_FILENAMES;
      else process.env.VK_ICD_FILENAMES = drivers;
    }
  });

  it('has no precision of 19 bits', async () => {
    const args = [
      'any.png',
      '-m',
      'shapes-notebook',
      '-o',
      'mask.png',
      '--device',
      'webgpu',
      '--precision',
      'tf32',
    ];
    expect(await unseam(['segment', ...args])).toMatchObject({
      code: 2,
      stderr: 'unseam: --precision tf32: WebGPU has fp32 and fp16\n',
    });
  });
});
