import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { UnetConfig } from '../../../model/network/unet.js';
import { difference } from '../../support/oracle.js';
import type { PrintedGradients } from '../../support/print-gradients.js';
import { SOFTWARE_GPU, titled } from '../../support/software-gpu.js';

const PROGRAM = fileURLToPath(new URL('../../support/print-gradients.js', import.meta.url));

const run = (args: readonly string[]) =>
  promisify(execFile)(process.execPath, args, { env: SOFTWARE_GPU ?? {}, maxBuffer: 2 ** 26 });

async function gradientsOn(provider: string, unet: UnetConfig): Promise<PrintedGradients> {
  const { stdout } = await run([PROGRAM, provider, JSON.stringify(unet)]);
  return JSON.parse(stdout) as PrintedGradients;
}

/** A GPU in software: the time is that of compiling shaders. */
describe.skipIf(SOFTWARE_GPU === null)(titled('a training on WebGPU'), () => {
  it('has the gradients of one on the CPU', { timeout: 240_000 }, async () => {
    const unet: UnetConfig = {
      channels: [4, 8],
      inputChannels: 3,
      classes: 2,
      seed: 3,
      batchNorm: true,
      dropout: 0.5,
    };
    const [expected, actual] = [await gradientsOn('cpu', unet), await gradientsOn('webgpu', unet)];
    expect(actual.loss).toBeCloseTo(expected.loss, 5);
    expect(actual.gradients).toHaveLength(expected.gradients.length);
    for (const [i, gradient] of expected.gradients.entries()) {
      expect(difference(gradient, actual.gradients[i]!), `gradient ${i}`).toBeLessThan(1e-5);
    }
  });

  it('is refused in fp16', async () => {
    const moduleAt = (path: string) =>
      JSON.stringify(new URL(`../../../model/${path}`, import.meta.url).href);
    const program = `
      import { useOnnxBackend } from ${moduleAt('onnx/register.js')};
      import { PLAIN_TRAINING, Trainer } from ${moduleAt('train/trainer.js')};
      await useOnnxBackend({ provider: 'webgpu', threads: 1, maxSessions: 8 });
      const unet = { channels: [4, 8], inputChannels: 1, classes: 2, seed: 3 };
      await Trainer.create({ unet, ...PLAIN_TRAINING, precision: 'fp16' }).catch(({ code, message }) => {
        process.stdout.write(JSON.stringify({ code, message }));
      });
      process.exit();
    `;
    const { stdout } = await run(['--input-type=module', '--eval', program]);
    expect(JSON.parse(stdout)).toEqual({
      code: 'bad-model-config',
      message:
        'webgpu adds in 16 bits, which is too coarse to train: choose --device cuda, or --precision fp32',
    });
  });
});
