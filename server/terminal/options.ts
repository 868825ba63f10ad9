import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { EngineOptions } from '../../model/engine.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { bytes, integer } from './flag-values.js';

/** What commands are given besides their options. */
export interface CommandContext {
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
}

export interface EngineFlags {
  readonly models: string;
  readonly threads: number;
  readonly maxPixels: number;
  readonly maxUnpacked: number;
  readonly dumpGraphs?: string;
  readonly profileGraphs?: string;
}

/** Of commands that plan what they do. */
export interface MemoryFlags {
  readonly memory: number;
}

export interface ScratchFlags {
  readonly scratch: string;
}

/** The engine that a command's flags describe. */
export function engineOf({ threads, dumpGraphs, profileGraphs }: EngineFlags): EngineOptions {
  const diagnostics = {
    ...(dumpGraphs !== undefined && { graphsDir: resolve(dumpGraphs) }),
    ...(profileGraphs !== undefined && { profileDir: resolve(profileGraphs) }),
  };
  return { provider: 'cpu', threads, diagnostics };
}

/** The options of every command that runs a network; those for developers are in CONTRIBUTING.md, not in the help. */
export function engineOptions(command: Command): Command {
  const { models, threads, maxPixels, maxUnpacked, dumpGraphs, profileGraphs } = ENVIRONMENT;
  return command
    .addOption(
      new Option('--models <folder>', 'folder of models')
        .env(models)
        .default(DEFAULTS.models, 'those of the package'),
    )
    .addOption(
      new Option('--threads <n>', 'threads of the engine')
        .env(threads)
        .argParser(integer(1, 1024))
        .default(DEFAULTS.threads, 'all cores'),
    )
    .addOption(
      new Option('--max-pixels <n>', 'largest image, width times height')
        .env(maxPixels)
        .argParser(integer(1, Number.MAX_SAFE_INTEGER))
        .default(DEFAULTS.maxPixels),
    )
    .addOption(
      new Option('--max-unpacked <bytes>', 'memory for a picture that is unpacked as a whole')
        .env(maxUnpacked)
        .argParser(bytes)
        .default(DEFAULTS.maxUnpackedBytes, '1G'),
    )
    .addOption(
      new Option('--dump-graphs <folder>', 'write each compiled graph to a folder')
        .env(dumpGraphs)
        .hideHelp(),
    )
    .addOption(
      new Option('--profile-graphs <folder>', "write ONNX Runtime's profile of each graph to a folder")
        .env(profileGraphs)
        .hideHelp(),
    );
}

/** The option of commands that plan what they do; an image that needs more is refused. */
export const memoryOption = (): Option =>
  new Option('--memory <bytes>', 'what the work may take of memory')
    .env(ENVIRONMENT.memory)
    .argParser(bytes)
    .default(DEFAULTS.memoryBytes, 'three quarters of what there is');

/** The option of commands that unpack pictures themselves. */
export const scratchOption = (): Option =>
  new Option('--scratch <folder>', 'where pictures are unpacked')
    .env(ENVIRONMENT.scratch)
    .default(DEFAULTS.scratch);

/** The options that say which picture of a file is read and how; `workOfFlags` reads them. */
export function workOptions(command: Command): Command {
  return command
    .option('-m, --model <name>', 'model, NAME or NAME/VERSION; may be left out where there is only one')
    .option('-t, --tile <size>', 'auto, whole, a side in px or WIDTHxHEIGHT', 'auto')
    .option('--tta', 'average over the eight symmetries of the square: eight times the work')
    .option(
      '--threshold <p>',
      'of two classes: probability from which a pixel has the second; card for that of the model',
    )
    .option(
      '--skip-background [mask]',
      'leave out tiles without tissue, found by its colour or given as a picture',
    )
    .option('--page <n>', 'image of a file that holds several, from 0')
    .option('--level <n>', 'level of a pyramid; 0 is the largest')
    .option('--channels <list>', 'channels, from 0: one as gray, three as RGB; such as 2 or 0,1,2')
    .option('--z <n>', 'plane of a stack, from 0')
    .option('--t <n>', 'time of a series, from 0')
    .option('--range <low,high>', 'values that are black and white; floats need it')
    .option('--mpp <um>', 'micrometres a pixel, whatever the file says; auto scales the image to the model');
}
