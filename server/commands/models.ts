import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { EngineKind } from '../../model/devices/engine-kind.js';
import { Engine } from '../../model/engine/engine.js';
import type { LayerFacts } from '../../model/network/layers.js';
import type { Card } from '../../model/shelf/card.js';
import { cardOf, ModelShelf, type Survey } from '../../model/shelf/shelf.js';
import { haloText } from '../../tiling/plan.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { problemOf } from '../contract/problems.js';
import { requireFolder } from '../storage/folders.js';
import { netSvg } from '../svg/net-picture.js';
import {
  type CacheDirFlags,
  type CommandContext,
  type CpuFlags,
  cacheDirOption,
  type DeviceFlags,
  deviceOption,
  engineOption,
  precisionOption,
  threadsOption,
} from '../terminal/options.js';
import { tuningSummary } from './bench.js';
import { quantizeCommand } from './quantize.js';
import { withModelHost } from './with-model-host.js';

interface ShowFlags extends CacheDirFlags, DeviceFlags, CpuFlags {
  readonly models: string;
  readonly engine: EngineKind;
  readonly svg?: string;
}

interface ListFlags {
  readonly models: string;
  readonly json?: boolean;
}

/** `unseam models`: lists models, or the layers of one, or quantises one. */
export function modelsCommand(program: Command, context: CommandContext): void {
  const folder = () =>
    new Option('--models <folder>', 'folder of models')
      .env(ENVIRONMENT.models)
      .default(DEFAULTS.models, 'those of the package');
  const models = program
    .command('models')
    .description('list the models with their scores')
    .addOption(folder())
    .option('--json', 'print the card of each model as a line of JSON')
    .action((flags: ListFlags) => listModels(flags, context));
  models
    .command('show')
    .description('list the layers of a model, and how this machine was measured to compute it')
    .argument('<name>', 'model, NAME or NAME/VERSION')
    .addOption(folder())
    .addOption(engineOption().default('onnx'))
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(threadsOption())
    .addOption(cacheDirOption())
    .option('--svg <file>', 'draw the network into an SVG file')
    .action((name: string, _flags: unknown, command: Command) =>
      showModel(command.optsWithGlobals<ShowFlags>(), name, context),
    );
  quantizeCommand(models, context);
}

async function listModels({ models, json }: ListFlags, context: CommandContext): Promise<void> {
  await requireFolder(models, '--models');
  const { cards, unreadable } = await survey(models);
  for (const { name, version, reason } of unreadable) {
    if (json) context.stdout(JSON.stringify({ name, version, error: reason }));
    else context.stderr(`${name} version ${version} cannot be used: ${reason}`);
  }
  if (unreadable.length > 0) process.exitCode = problemOf('bad-checkpoint').exitCode;
  for (const card of cards) {
    if (json) {
      context.stdout(JSON.stringify(card));
      continue;
    }
    context.stdout(summaryOf(card));
    if (card.description) context.stdout(`  ${card.description}`);
  }
}

/** A model in one line: its classes, its size and its scores. */
function summaryOf({ name, version, classes, architecture, scores, quantisation }: Card): string {
  const { parameters, halo } = architecture;
  const listed = classes.map((known, c) => `${c} ${known.name}`).join(', ');
  const errors = Object.entries(scores).map(([set, s]) => `${set} pixel error ${s.pixelError?.toFixed(4)}`);
  const same =
    quantisation && `the original's label for ${(100 * quantisation.agreement.share).toFixed(2)} % of pixels`;
  const facts = [`${parameters} parameters, halo ${haloText(halo)}`, same, errors.join(', ')];
  return `${name} version ${version}: ${[listed, ...facts].filter(Boolean).join('; ')}`;
}

/** Lists the layers of a model, and draws them where a file is named; and says how it is computed, if that was measured. */
async function showModel({ svg, ...flags }: ShowFlags, name: string, context: CommandContext): Promise<void> {
  const { folder } = await new ModelShelf(flags.models).find(name);
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  try {
    const { card, layers } = await engine.describe(folder);
    for (const line of layerTable(layers)) context.stdout(line);
    if (svg !== undefined) await writeFile(svg, netSvg(layers, `${card.name} version ${card.version}`));
  } finally {
    await engine.close();
  }
  const request = { ...flags, memory: DEFAULTS.memoryBytes };
  const tuning = await withModelHost(request, context.stderr, (host) => host.tuningOf(name));
  context.stdout('');
  context.stdout(tuning ? tuningSummary(tuning) : `not measured on this machine: unseam bench ${name}`);
}

/** Validates each version as loading does: card, folder, weights and layers against each other. */
async function survey(root: string): Promise<Survey> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  try {
    return await new ModelShelf(root).survey({
      quantised: true,
      read: async (model) => {
        const card = await cardOf(model);
        await engine.describe(model.folder);
        return card;
      },
    });
  } finally {
    await engine.close();
  }
}

function layerTable(layers: readonly LayerFacts[]): string[] {
  const rows = layers.map(({ name, kind, shape, parameters }) => {
    return [name, kind, shape.join('×'), parameters.toLocaleString('en')];
  });
  const all = layers.reduce((sum, { parameters }) => sum + parameters, 0);
  const table = [['layer', 'kind', 'output', 'parameters'], ...rows, ['', '', '', all.toLocaleString('en')]];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row
      .map((cell, column) => (column === 3 ? cell.padStart(widths[3]!) : cell.padEnd(widths[column]! + 2)))
      .join('')
      .trimEnd(),
  );
}
