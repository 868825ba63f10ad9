import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Engine } from '../../model/engine/engine.js';
import { DEFAULTS } from '../config.js';
import { codeOf } from '../contract/problems.js';
import { optionsOf, shellQuote } from './command-line.js';

/** Whether an error says that the device of a training is lost, and with it the network since its last checkpoint. */
export const isDeviceLoss = (error: unknown): boolean =>
  ['engine-lost', 'device-unavailable'].includes(codeOf(error));

/** What computes, and where files are: a training is resumed with what was typed of it. */
const REPEATED = [
  'scratch',
  'maxPixels',
  'maxUnpacked',
  'engine',
  'precision',
  'cacheDir',
  'threads',
  'lanes',
];

/**
 * The command that resumes a training as `command` has started it, on the same device: that which `auto` has found,
 * where it is one of several. The folder of models is named unless it is the default.
 */
export function resumeCommand(name: string, folder: string, engine: Engine, command: Command): string {
  const models = dirname(dirname(folder));
  const [device] = engine.devices;
  const isRepeated = (key: string) => REPEATED.includes(key) || (key === 'device' && !device);
  return [
    'unseam train --name',
    shellQuote(name),
    ...(resolve(models) === resolve(DEFAULTS.models) ? [] : ['--models', shellQuote(models)]),
    ...optionsOf(command, isRepeated),
    ...(device ? ['--device', device.name] : []),
    '--resume',
  ].join(' ');
}
