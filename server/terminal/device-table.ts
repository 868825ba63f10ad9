import { gpuText } from '../../model/environment.js';
import { formatBytes } from '../contract/byte-size.js';
import type { DeviceAccount, GraphAccount, ModelAccount } from '../pipeline/device-account.js';
import { chosenSpeed, type Tuning } from '../pipeline/tuning.js';

/** A device that was looked for: what is known of it, or why it cannot be used. */
export type ListedDevice = { readonly device: string } & (
  | ({ readonly failure: null } & DeviceAccount)
  | { readonly failure: string }
);

/** A device as lines for people: itself, its libraries, and a table of models. */
export function accountLines(listed: ListedDevice): string[] {
  if (listed.failure !== null) return [`${listed.device}: cannot be used: ${listed.failure}`];
  const { device, memoryBytes, computeCapability, versions, models } = listed;
  const memory = memoryBytes === null ? '' : `, ${formatBytes(memoryBytes)}`;
  const capability = computeCapability === undefined ? '' : `, compute capability ${computeCapability}`;
  const usable = models.filter(({ failure }) => failure === null);
  const graphs = usable[0]?.graphs ?? [];
  const table = [['model', ...graphs.map(graphName), 'tuned'], ...usable.map(rowOf)];
  return [
    `${device}: ${gpuText(listed)}${memory}${capability}`,
    `  ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...(usable.length === 0 ? [] : aligned(table).map((line) => `  ${line}`)),
    ...models
      .filter(({ failure }) => failure !== null)
      .map((each) => `  ${each.model}/${each.version}: ${each.failure}`),
  ];
}

const graphName = ({ output, symmetries }: GraphAccount): string => (symmetries ? 'with --tta' : output);

const rowOf = ({ model, version, graphs, tuning }: ModelAccount): string[] => [
  `${model}/${version}`,
  ...graphs.map(({ tiling }) => outcomeText(tiling)),
  tuningText(tuning),
];

function outcomeText(tiling: GraphAccount['tiling']): string {
  if (tiling === null) return 'not tested';
  if (tiling.exact) return 'exact';
  const { largestDifference } = tiling;
  return largestDifference === null ? 'one tile' : `within ${Number(largestDifference.toPrecision(2))}`;
}

function tuningText(tuning: Tuning | null): string {
  if (tuning === null) return 'not measured';
  const { tile, lanes, threads } = tuning.choice;
  return `${tile} px, ${lanes} × ${threads} threads, ${chosenSpeed(tuning).toFixed(2)} Mpx/s`;
}

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
