import { dirname, resolve } from 'node:path';
import type { Engine } from '../../model/engine.js';
import { DEFAULTS } from '../config.js';
import { codeOf } from '../contract/problems.js';
import { shellQuote } from './train-config.js';

/** Whether an error says that the device of a training is lost, and with it the network since its last checkpoint. */
export const isDeviceLoss = (error: unknown): boolean =>
  ['engine-lost', 'device-unavailable'].includes(codeOf(error));

/** The command that resumes a training on the same device; the folder of models is named unless it is the default. */
export async function resumeCommand(name: string, folder: string, engine: Engine): Promise<string> {
  const models = dirname(dirname(folder));
  const { engine: kind } = await engine.environment();
  const [device] = engine.devices;
  const options = [
    ...(resolve(models) === resolve(DEFAULTS.models) ? [] : ['--models', models]),
    ...(kind === 'onnx' ? [] : ['--engine', kind]),
    ...(device ? ['--device', device.name] : []),
    ...(engine.precision === 'fp32' ? [] : ['--precision', engine.precision]),
  ];
  return ['unseam', 'train', '--name', name, ...options, '--resume'].map(shellQuote).join(' ');
}
