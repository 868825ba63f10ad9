import { type Command, Option } from 'commander';
import { haloText } from '../../tiling/plan.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { ModelShelf } from '../models.js';
import type { CommandContext } from './shared.js';

export function modelsCommand(program: Command, context: CommandContext): void {
  program
    .command('models')
    .description('list the models, with their scores')
    .addOption(
      new Option('--models <folder>', 'folder of models')
        .env(ENVIRONMENT.models)
        .default(DEFAULTS.models, 'those of the package'),
    )
    .option('--json', 'print the cards, one line of JSON a model')
    .action(async ({ models, json }: { models: string; json?: boolean }) => {
      for (const card of await new ModelShelf(models).cards()) {
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
}
