import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { NetworkTest } from '../../server/packages/import-network.js';

/** The folder of the script in Python, and of its environment. */
const FOLDER = fileURLToPath(new URL('../../../bench/import/', import.meta.url));
const PYTHON = join(FOLDER, '.venv/bin/python');

const shape = z.tuple([z.literal(1), z.int(), z.int(), z.int()]);
const networkSchema = z.object({
  name: z.string(),
  exact: z.boolean(),
  channels: z.int(),
  input: shape,
  output: shape,
});
export type ExportedNetwork = z.infer<typeof networkSchema>;

/** Has PyTorch write the networks into a folder. @throws where there is no environment, or the script fails */
export async function exportNetworks(folder: string): Promise<void> {
  if (!existsSync(PYTHON)) {
    throw new Error(`there is no bench/import/.venv: see bench/import/topologies.py`);
  }
  await promisify(execFile)(PYTHON, [join(FOLDER, 'topologies.py'), folder], { maxBuffer: 1 << 26 });
}

/** The networks of a folder, by name. */
export async function findNetworks(folder: string): Promise<ExportedNetwork[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    names.map(async (name) => networkSchema.parse(JSON.parse(await readFile(join(folder, name), 'utf8')))),
  );
}

/** What PyTorch computes, with channels last. */
export async function testOf(folder: string, { name, input, output }: ExportedNetwork): Promise<NetworkTest> {
  const read = async (kind: string) => {
    const { buffer, byteOffset, length } = await readFile(join(folder, `${name}.${kind}`));
    return new Float32Array(buffer.slice(byteOffset, byteOffset + length));
  };
  const [, channels, height, width] = input;
  const values = channelsLast(await read('input'), input);
  const [, outputs, rows, columns] = output;
  return {
    input: { values, height, width, channels },
    output: {
      values: channelsLast(await read('output'), output),
      height: rows,
      width: columns,
      channels: outputs,
    },
  };
}

function channelsLast(
  values: Float32Array,
  [, channels, height, width]: ExportedNetwork['input'],
): Float32Array {
  const moved = new Float32Array(values.length);
  const px = height * width;
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < px; i++) moved[i * channels + c] = values[c * px + i]!;
  return moved;
}
