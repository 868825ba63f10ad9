import { type Command, InvalidArgumentError, Option } from 'commander';
import { MAX_BATCH } from '../../model/compute-choice.js';
import {
  DEVICE_SYNTAX,
  type DeviceRequest,
  PRECISIONS,
  type Precision,
  parseDevices,
} from '../../model/devices/device.js';
import { ENGINES, type EngineKind } from '../../model/devices/engine-kind.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { bytes, integer } from './flag-values.js';

/** What commands have besides their options. */
export interface CommandContext {
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
}

export interface EngineFlags extends CacheDirFlags, DeviceFlags, CpuFlags {
  readonly models: string;
  readonly engine: EngineKind;
  readonly dumpGraphs?: string;
  readonly profileGraphs?: string;
}

/** Of commands that open images. */
export interface ImageFlags {
  readonly maxPixels: number;
  readonly maxUnpacked: number;
}

/** Of commands that plan what they do. */
export interface MemoryFlags {
  readonly memory: number;
}

/** Of commands that segment: commander sets `cache` unless there is `--no-cache`. */
export interface CacheFlags {
  readonly cache: boolean;
  readonly tileCache?: number;
}

export interface BatchFlags {
  readonly batch?: number;
}

export interface DeviceFlags {
  /** Default `auto`, without a word where that is the CPU. */
  readonly device?: DeviceRequest | undefined;
  readonly precision: Precision;
}

/** What only the CPU has. */
export interface CpuFlags {
  /** Default: all cores. */
  readonly threads?: number;
  readonly lanes?: number;
}

export interface CacheDirFlags {
  /** Null for none: what would be in it is measured each time, and nothing is set up. */
  readonly cacheDir: string | null;
}

export interface ScratchFlags {
  readonly scratch: string;
}

/** Without a default: `unseam devices` lists those of all engines. */
export const engineOption = (): Option =>
  new Option(
    '--engine <name>',
    'library that computes networks: onnx, or tensorflow after unseam setup tensorflow',
  )
    .env(ENVIRONMENT.engine)
    .choices(ENGINES);

/** The option of every command that runs a network. */
export const deviceOption = (): Option =>
  new Option(
    '--device <names>',
    `hardware that computes networks: ${DEVICE_SYNTAX} (default: auto, an NVIDIA GPU that is set up, or else the CPU)`,
  )
    .env(ENVIRONMENT.device)
    .argParser(devices);

export const precisionOption = (): Option =>
  new Option('--precision <name>', 'how a GPU rounds: masks differ slightly in fewer bits')
    .env(ENVIRONMENT.precision)
    .choices(PRECISIONS)
    .default('fp32');

/** Parses `--device`, for commander, which calls it again for an option that is repeated. */
export function devices(text: string, before?: DeviceRequest): DeviceRequest {
  if (before !== undefined) {
    throw new InvalidArgumentError('It is given twice: name several devices at once, such as cuda:0,cuda:1.');
  }
  try {
    return parseDevices(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

export const threadsOption = (): Option =>
  new Option('--threads <n>', 'threads of the CPU that compute (default: all cores)')
    .env(ENVIRONMENT.threads)
    .argParser(integer(1, 1024));

/** The options of every command that runs a network; those for developers are in CONTRIBUTING.md, not in the help. */
export function engineOptions(command: Command): Command {
  const { models, lanes, dumpGraphs, profileGraphs } = ENVIRONMENT;
  return command
    .addOption(
      new Option('--models <folder>', 'folder of models')
        .env(models)
        .default(DEFAULTS.models, 'those of the package'),
    )
    .addOption(engineOption().default('onnx'))
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(cacheDirOption())
    .addOption(threadsOption())
    .addOption(
      new Option(
        '--lanes <n>',
        'lanes that run batches at the same time and share the threads (default: as measured)',
      )
        .env(lanes)
        .argParser(integer(1, 1024)),
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

/** The options of every command that opens images: what it refuses. */
export function imageOptions(command: Command): Command {
  const { maxPixels, maxUnpacked } = ENVIRONMENT;
  return command
    .addOption(
      new Option('--max-pixels <n>', 'largest image, in pixels')
        .env(maxPixels)
        .argParser(integer(1, Number.MAX_SAFE_INTEGER))
        .default(DEFAULTS.maxPixels),
    )
    .addOption(
      new Option(
        '--max-unpacked <bytes>',
        'memory for a picture that has to be decoded as a whole, such as 500M',
      )
        .env(maxUnpacked)
        .argParser(bytes)
        .default(DEFAULTS.maxUnpackedBytes, '1G'),
    );
}

/** The option of commands that plan their work. An image that needs more is refused. */
export const memoryOption = (): Option =>
  new Option('--memory <bytes>', 'memory that the work may take, such as 4G')
    .env(ENVIRONMENT.memory)
    .argParser(bytes)
    .default(DEFAULTS.memoryBytes, 'three quarters of the machine');

/** The option of commands that segment, and of those that plan it. */
export const batchOption = (): Option =>
  new Option('--batch <n>', 'tiles of a batch, at most (default: as measured)')
    .env(ENVIRONMENT.batch)
    .argParser(integer(1, MAX_BATCH));

/** The folder of a user for what is measured, and set up, once. */
export const cacheDirOption = (): Option =>
  new Option(
    '--cache-dir <folder>',
    'folder for what was measured of this machine, and for what unseam setup downloads',
  )
    .env(ENVIRONMENT.cacheDir)
    .default(DEFAULTS.cacheDir, DEFAULTS.cacheDir ?? 'none: it is measured each time');

/** The option of commands that segment. */
export const tileCacheOption = (): Option =>
  new Option(
    '--tile-cache <bytes>',
    'part of --memory for the results of tiles that occur more than once; 0 for none (default: 64M, or a 64th of --memory)',
  )
    .env(ENVIRONMENT.tileCache)
    .argParser(bytes);

/** The tile cache that flags request, in bytes; null for the default. */
export const tileCacheOf = ({ cache, tileCache }: CacheFlags): number | null =>
  cache ? (tileCache ?? null) : 0;

/** The option of commands that decode pictures in their own process. */
export const scratchOption = (): Option =>
  new Option('--scratch <folder>', 'folder for scratch files')
    .env(ENVIRONMENT.scratch)
    .default(DEFAULTS.scratch);

/** The options that select the picture of a file and how it is segmented; `workOfFlags` parses them. */
export function workOptions(command: Command): Command {
  return command
    .option('-m, --model <name>', 'NAME or NAME/VERSION of the model; optional if there is only one')
    .option('-t, --tile <size>', 'tile size: auto, whole, a side in px, or WIDTHxHEIGHT', 'auto')
    .option(
      '--tta',
      'test-time augmentation: average over rotations and mirror images, for eight times the work',
    )
    .option(
      '--threshold <p>',
      "for models of two classes: least probability of the second, from 0 to 1; card for the model's own",
    )
    .option(
      '--skip-background [mask]',
      'skip tiles without tissue, which is found by its colour or given as a mask',
    )
    .option('--page <n>', 'page of a file with several images, from 0')
    .option('--level <n>', 'level of a pyramid, from 0, the largest')
    .option(
      '--channels <list>',
      "channels, by number from 0 or by name: one as gray, three as RGB, or the model's, such as 2 or DAPI,CD45",
    )
    .option('--z <n>', 'focal plane of a stack, from 0; all, 0-4 or 0,2,5-7 segment several as one stack')
    .option('--t <n>', 'time point of a series, from 0, or several, as of --z')
    .option(
      '--stats <list>',
      'for models that normalise by statistics of the image: level=3 to measure them there, or DAPI=112:8040,… to give them',
    )
    .option('--range <low,high>', 'stored values of black and white, such as 0,4095; required for floats')
    .option(
      '--mpp <um>',
      "pixel size in micrometres, such as 0.25, which overrides the file's; auto scales to the model's; or auto,0.25",
    );
}
