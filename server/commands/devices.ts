import { type Command, Option } from 'commander';
import { nvidiaIndices } from '../../model/cuda/gpu.js';
import {
  DEVICE_SYNTAX,
  type DeviceSet,
  nameOfDevices,
  OWN_CPU,
  type Precision,
  withoutName,
} from '../../model/devices/device.js';
import type { EngineKind } from '../../model/devices/engine-kind.js';
import { onnxRuntimeCommit, onnxRuntimeFolder } from '../../model/devices/onnx-package.js';
import type { GraphUse } from '../../model/exactness/self-test.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { RequestError } from '../contract/errors.js';
import { type DeviceAccount, deviceAccount } from '../pipeline/device-account.js';
import { testText } from '../pipeline/device-text.js';
import { requireFolder } from '../storage/folders.js';
import { untilAborted } from '../storage/until-aborted.js';
import { accountLines, type ListedDevice } from '../terminal/device-table.js';
import {
  type CacheDirFlags,
  type CommandContext,
  type CpuFlags,
  cacheDirOption,
  type DeviceFlags,
  devices,
  engineOption,
  type MemoryFlags,
  memoryOption,
  precisionOption,
  threadsOption,
} from '../terminal/options.js';
import { engineOf } from '../terminal/requested-engine.js';
import { withModelHost } from './with-model-host.js';

interface DevicesFlags extends CacheDirFlags, DeviceFlags, CpuFlags, MemoryFlags {
  readonly models: string;
  readonly model?: string;
  /** Default: the devices of all engines. */
  readonly engine?: EngineKind;
  readonly test?: true;
  readonly json?: true;
}

/** `unseam devices`: what this machine can run networks on, and how exactly each device does. */
export function devicesCommand(program: Command, context: CommandContext): void {
  program
    .command('devices')
    .description('list what can run networks here, how exactly and how fast, or why it cannot')
    .addOption(
      new Option('--models <folder>', 'folder of models')
        .env(ENVIRONMENT.models)
        .default(DEFAULTS.models, 'those of the package'),
    )
    .option('-m, --model <name>', 'NAME or NAME/VERSION of the only model to list')
    .addOption(engineOption())
    .addOption(
      new Option(
        '--device <names>',
        `the devices to list: ${DEVICE_SYNTAX} (default: auto, all that this machine may have)`,
      )
        .env(ENVIRONMENT.device)
        .argParser(devices),
    )
    .addOption(precisionOption())
    .addOption(threadsOption())
    .addOption(memoryOption())
    .addOption(cacheDirOption())
    .option('--test', 'make the tests of tiles that were not made yet, which takes seconds to minutes')
    .option('--json', 'print each device as a line of JSON')
    .action((flags: DevicesFlags) => listDevices(flags, context));
}

async function listDevices(flags: DevicesFlags, context: CommandContext): Promise<void> {
  await requireFolder(flags.models, '--models');
  const shelf = new ModelShelf(flags.models);
  if (flags.model !== undefined) await shelf.find(flags.model);
  const models = flags.model === undefined ? (await shelf.list()).map(({ name }) => name) : [flags.model];
  for (const device of await devicesOf(flags)) {
    context.signal.throwIfAborted();
    const listed = await listedDevice(device, models, flags, context);
    if (flags.json) context.stdout(JSON.stringify(listed));
    else for (const line of accountLines(listed)) context.stdout(line);
  }
}

const WEBGPU: DeviceSet = { provider: 'webgpu', indices: [0] };

/** A device to list, and the options that it is listed with. */
interface Candidate extends CpuFlags {
  readonly name: string;
  readonly engine: EngineKind;
  readonly device: DeviceSet;
  readonly precision: Precision;
}

/**
 * The devices to list, one by one. Those that are named have all options that were given; of all that the machine may
 * have, each has those that concern it.
 * @throws RequestError for what the named devices, or the named engine, do not have
 */
async function devicesOf({ engine, device = 'auto', ...flags }: DevicesFlags): Promise<Candidate[]> {
  const { precision, threads, cacheDir } = flags;
  const ofCpu = threads === undefined ? {} : { threads };
  const tensorflow = { ...ofCpu, name: 'tensorflow', engine: 'tensorflow', device: OWN_CPU } as const;
  if (device !== 'auto' && device !== OWN_CPU && engine === 'tensorflow') {
    throw new RequestError('bad-request', `--device ${nameOfDevices(device)} is for --engine onnx`);
  }
  if (engine === 'tensorflow') return [{ ...tensorflow, precision }];
  if (device !== 'auto') {
    const named = { ...ofCpu, engine: 'onnx', precision } as const;
    engineOf({ ...named, device, cacheDir });
    const { provider, indices } = device;
    const each = indices.map((index): DeviceSet => ({ provider, indices: [index] }));
    return (indices.length === 0 ? [device] : each).map((own) => {
      return { ...named, name: nameOfDevices(own), device: own };
    });
  }
  const gpus = (await nvidiaIndices()).map((index): DeviceSet => ({ provider: 'cuda', indices: [index] }));
  return [
    { ...ofCpu, name: nameOfDevices(OWN_CPU), engine: 'onnx', device: OWN_CPU, precision: 'fp32' },
    ...[...gpus, WEBGPU].map((gpu): Candidate => {
      return { name: nameOfDevices(gpu), engine: 'onnx', device: gpu, precision };
    }),
    // Last, since it hides GPUs from what this process starts.
    ...(engine === undefined ? [{ ...tensorflow, precision: 'fp32' } as const] : []),
  ];
}

/** What is known of a device; or why it cannot be used, which ends nothing. */
async function listedDevice(
  { name, ...candidate }: Candidate,
  models: readonly string[],
  { models: folder, memory, cacheDir, test: isTesting }: DevicesFlags,
  { signal, stderr }: CommandContext,
): Promise<ListedDevice> {
  const test = (model: string, graph: Pick<GraphUse, 'output' | 'symmetries'>) => {
    if (candidate.device.provider === 'cpu') stderr(testText(model, graph, [name])); // a GPU's host says so itself
  };
  try {
    const account = await withModelHost({ ...candidate, models: folder, memory, cacheDir }, stderr, (host) =>
      untilAborted(deviceAccount(host, models, isTesting ? test : null), signal),
    );
    const isOnnx = candidate.engine === 'onnx';
    return { device: name, failure: null, ...(isOnnx ? await withCommit(account) : account) };
  } catch (error) {
    signal.throwIfAborted();
    return { device: name, failure: withoutName(name, (error as Error).message) };
  }
}

/** With the commit of ONNX Runtime's npm package, where its library states one. */
async function withCommit(account: DeviceAccount): Promise<DeviceAccount> {
  const commit = await onnxRuntimeCommit(onnxRuntimeFolder()).catch(() => null);
  return { ...account, versions: { ...account.versions, ...(commit && { 'onnxruntime-commit': commit }) } };
}
