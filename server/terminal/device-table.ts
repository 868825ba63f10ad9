import type { DeviceAccount, GraphAccount, ModelAccount } from '../pipeline/device-account.js';
import { deviceText, outcomeText, tuningText, versionsText } from '../pipeline/device-text.js';
import { chosenSpeed, type Tuning } from '../pipeline/tuning.js';

/** A device that was looked for: what is known of it, or why it cannot be used. */
export type ListedDevice = { readonly device: string } & (
  | ({ readonly failure: null } & DeviceAccount)
  | { readonly failure: string }
);

/** A device as lines for people: itself, its libraries, and a table of models. */
export function accountLines(listed: ListedDevice): string[] {
  if (listed.failure !== null) return [`${listed.device}: cannot be used: ${listed.failure}`];
  const { device, versions, models } = listed;
  const usable = models.filter(({ failure }) => failure === null);
  const graphs = usable[0]?.graphs ?? [];
  const table = [['model', ...graphs.map(graphName), 'tuned'], ...usable.map(rowOf)];
  return [
    `${device}: ${deviceText(listed)}`,
    `  ${versionsText(versions)}`,
    ...(usable.length === 0 ? [] : aligned(table).map((line) => `  ${line}`)),
    ...models
      .filter(({ failure }) => failure !== null)
      .map((each) => `  ${each.model}/${each.version}: ${each.failure}`),
  ];
}

const graphName = ({ output, symmetries }: GraphAccount): string => (symmetries ? `${output} --tta` : output);

const rowOf = ({ model, version, graphs, tuning }: ModelAccount): string[] => [
  `${model}/${version}`,
  ...graphs.map(({ tiling }) => (tiling === null ? 'not tested' : outcomeText(tiling))),
  tuning === null ? 'not measured' : speedText(tuning),
];

const speedText = (tuning: Tuning): string =>
  tuningText({ ...tuning.choice, pixelsPerSecond: chosenSpeed(tuning) * 1e6 });

/** Rows of cells as lines, with columns of one width. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]! + 2))
      .join('')
      .trimEnd(),
  );
}
