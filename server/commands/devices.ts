import { type Command, Option } from 'commander';
import { nvidiaIndices } from '../../model/cuda/gpu.js';
import { npmCommit, onnxRuntimeFolder } from '../../model/cuda/libraries.js';
import {
  DEVICE_SYNTAX,
  type DeviceRequest,
  type DeviceSet,
  nameOfDevices,
  OWN_CPU,
} from '../../model/device.js';
import { ModelShelf } from '../../model/shelf.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { type DeviceAccount, deviceAccount } from '../pipeline/device-account.js';
import { requireFolder } from '../storage/folders.js';
import { untilAborted } from '../storage/until-aborted.js';
import { accountLines, type ListedDevice } from '../terminal/device-table.js';
import {
  type CacheDirFlags,
  type CommandContext,
  cacheDirOption,
  type DeviceFlags,
  devices,
  type MemoryFlags,
  memoryOption,
  precisionOption,
  threadsOption,
} from '../terminal/options.js';
import { withModelHost } from './with-model-host.js';

interface DevicesFlags extends CacheDirFlags, DeviceFlags, MemoryFlags {
  readonly models: string;
  readonly model?: string;
  readonly threads: number;
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
    .addOption(
      new Option('--device <names>', `the devices to list: ${DEVICE_SYNTAX}`)
        .argParser(devices)
        .default('auto', 'auto: all that this machine may have'),
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
  for (const device of await devicesOf(flags.device ?? 'auto')) {
    context.signal.throwIfAborted();
    const listed = await listedDevice(device, models, flags, context);
    if (flags.json) context.stdout(JSON.stringify(listed));
    else for (const line of accountLines(listed)) context.stdout(line);
  }
}

/** The devices to list, one by one. */
async function devicesOf(request: DeviceRequest): Promise<DeviceSet[]> {
  if (request !== 'auto') {
    const { provider, indices } = request;
    return indices.length === 0 ? [request] : indices.map((index) => ({ provider, indices: [index] }));
  }
  const gpus = await nvidiaIndices();
  return [
    OWN_CPU,
    ...gpus.map((index): DeviceSet => ({ provider: 'cuda', indices: [index] })),
    { provider: 'webgpu', indices: [0] },
  ];
}

/** What is known of a device; or why it cannot be used, which ends nothing. */
async function listedDevice(
  device: DeviceSet,
  models: readonly string[],
  flags: DevicesFlags,
  { signal, stderr }: CommandContext,
): Promise<ListedDevice> {
  const name = nameOfDevices(device);
  const test = (model: string, { output, symmetries }: { output: string; symmetries: boolean }) =>
    stderr(`testing ${model} on ${name}: ${output}${symmetries ? ' over symmetries' : ''}`);
  // the CPU has one precision
  const precision = device.provider === 'cpu' ? 'fp32' : flags.precision;
  const engine = { ...flags, engine: 'onnx', device, precision } as const;
  try {
    const account = await withModelHost(engine, stderr, (host) =>
      untilAborted(deviceAccount(host, models, flags.test ? test : null), signal),
    );
    return { device: name, failure: null, ...(await withCommit(account)) };
  } catch (error) {
    signal.throwIfAborted();
    const { message } = error as Error;
    return { device: name, failure: message.replace(`${name}: `, '') };
  }
}

/** With the commit of ONNX Runtime's npm package, where its library states one. */
async function withCommit(account: DeviceAccount): Promise<DeviceAccount> {
  const commit = await npmCommit(onnxRuntimeFolder()).catch(() => null);
  return { ...account, versions: { ...account.versions, ...(commit && { 'onnxruntime-commit': commit }) } };
}
