import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { Engine } from '../../model/engine.js';
import type { LayerFacts } from '../../model/layers.js';
import { cardOf, ModelShelf, type Survey } from '../../model/shelf.js';
import { haloText } from '../../tiling/plan.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { problemOf } from '../contract/problems.js';
import { requireFolder } from '../storage/folders.js';
import { netSvg } from '../svg/net-picture.js';
import type { CommandContext } from '../terminal/options.js';

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
    .action(async ({ models, json }: { models: string; json?: boolean }) => {
      await requireFolder(models, '--models');
      const { cards, unreadable } = await survey(models);
      for (const model of unreadable) {
        const { name, version, reason } = model;
        if (json) context.stdout(JSON.stringify({ name, version, error: reason }));
        else context.stderr(`${name} version ${version} cannot be used: ${reason}`);
      }
      if (unreadable.length > 0) process.exitCode = problemOf('bad-checkpoint').exitCode;
      for (const card of cards) {
        if (json) {
          context.stdout(JSON.stringify(card));
          continue;
        }
        const { parameters, halo } = card.architecture;
        const scores = Object.entries(card.scores).map(
          ([set, s]) => `${set} pixel error ${s.pixelError?.toFixed(4)}`,
        );
        const classes = card.classes.map(({ name }, c) => `${c} ${name}`).join(', ');
        context.stdout(
          `${card.name} version ${card.version}: ${classes}; ${parameters} parameters, halo ${haloText(halo)}; ${scores.join(', ')}`,
        );
        if (card.description) context.stdout(`  ${card.description}`);
      }
    });
  models
    .command('show')
    .description('list the layers of a model with their shapes and parameters')
    .argument('<name>', 'model, NAME or NAME/VERSION')
    .addOption(folder())
    .option('--svg <file>', 'draw the network into an SVG file')
    .action(async (name: string, { svg }: { svg?: string }, command: Command) => {
      const { models: root } = command.optsWithGlobals<{ models: string }>();
      const { folder: path } = await new ModelShelf(root).find(name);
      const engine = Engine.start({ provider: 'cpu', threads: 1 });
      try {
        const { card, layers } = await engine.describe(path);
        for (const line of layerTable(layers)) context.stdout(line);
        if (svg !== undefined) await writeFile(svg, netSvg(layers, `${card.name} version ${card.version}`));
      } finally {
        await engine.close();
      }
    });
}

/** Validates each model as loading does: card, folder, weights and layers against each other. */
async function survey(root: string): Promise<Survey> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  try {
    return await new ModelShelf(root).survey(async (model) => {
      const card = await cardOf(model);
      await engine.describe(model.folder);
      return card;
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
