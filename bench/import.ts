import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../model/engine/engine.js';
import type { Card } from '../model/shelf/card.js';
import { readOnnxSource } from '../model/shelf/onnx-source.js';
import { importNetwork } from '../server/packages/import-network.js';
import { onnxSource } from '../server/packages/network-source.js';
import { chooseTile, planTiles, type TileRule } from '../tiling/plan.js';
import type { Bench } from './bench.js';
import { copyOwned, countDifferences, noiseImage, runTiles } from './exactness-tiles.js';
import { type ExportedNetwork, exportNetworks, findNetworks, testOf } from './import/networks.js';

const IMAGE = { width: 1283, height: 1041 };
const LIMITS = { differing: 0, values: 1e8, topologies: 16, mismatches: 0 };
const THREADS = 2;

/** A folder of networks that `bench/import/topologies.py` has written before, for those that are slow to export. */
export const options = { networks: { type: 'string', default: '' } } as const;

/** Three tile sizes in px, two of them oblong; the smallest is compared when a network is imported. */
const tilesFor = ({ smallest, multiple }: TileRule) => {
  const grown = (px: number) => smallest + Math.ceil(px / multiple) * multiple;
  return [
    { width: grown(96), height: grown(64) },
    { width: grown(200), height: grown(320) },
    { width: grown(512), height: grown(448) },
  ];
};

interface Exact {
  readonly name: string;
  readonly halo: readonly number[];
  readonly multiple: number;
  readonly smallest: number;
  readonly parameters: number;
  /** Of its test tensor. */
  readonly mismatches: number;
  readonly largestDifference: number;
  readonly values: number;
  readonly differing: number;
  /** Values that were compared in an image whose px beyond the halo are others, and those that differ. */
  readonly outside: { readonly values: number; readonly differing: number };
}

/**
 * Imports networks that PyTorch has exported, and compares their tiles, bit for bit, with one pass over the whole
 * mirrored image, in three shapes. What cannot be exact has to be refused by the name of one of its nodes. Each network
 * has to compute its test tensor within the tolerance of bioimageio.core, and no px beyond the derived halo may matter.
 */
export const bench: Bench = async (log, { networks = '' }) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const engine = Engine.start({ provider: 'cpu', threads: THREADS });
  const exact: Exact[] = [];
  const refused: { readonly name: string; readonly reason: string }[] = [];
  const wrong: string[] = [];
  try {
    const folder = networks === '' ? join(dir, 'networks') : String(networks);
    if (networks === '') await exportNetworks(folder);
    for (const network of await findNetworks(folder)) {
      try {
        const card = await importOne(engine, dir, folder, network);
        const found = await compareTiles(engine, join(dir, network.name), card, network);
        exact.push(found);
        if (!network.exact) wrong.push(`${network.name} should have been refused`);
        log(
          `${network.name}: halo ${found.halo.join(' ')}, multiple ${found.multiple}; ${found.differing} of ${found.values} values differ`,
        );
      } catch (error) {
        const { message: reason, code } = error as Error & { readonly code?: string };
        if (network.exact || code !== 'inexact-model') wrong.push(`${network.name}: ${reason}`);
        else refused.push({ name: network.name, reason });
        log(`${network.name}: ${reason}`);
      }
    }
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
  const sum = (of: (each: Exact) => number) => exact.reduce((total, each) => total + of(each), 0);
  const [values, differing] = [sum((each) => each.values), sum((each) => each.differing)];
  const outside = {
    values: sum((each) => each.outside.values),
    differing: sum((each) => each.outside.differing),
  };
  const mismatches = sum((each) => each.mismatches);
  const holds =
    wrong.length === 0 &&
    differing + outside.differing + mismatches === 0 &&
    values >= LIMITS.values &&
    exact.length + refused.length >= LIMITS.topologies;
  return { values, differing, outside, mismatches, wrong, exact, refused, limits: LIMITS, holds };
};

/** @throws what the import is refused by */
async function importOne(
  engine: Engine,
  dir: string,
  folder: string,
  network: ExportedNetwork,
): Promise<Card> {
  const { name } = network;
  const path = join(folder, `${name}.onnx`);
  return importNetwork({
    engine,
    folder: join(dir, name),
    name,
    version: 1,
    network: onnxSource(await readOnnxSource(path)),
    source: `${name}.onnx`,
    card: {},
    test: await testOf(folder, network),
  });
}

async function compareTiles(
  engine: Engine,
  folder: string,
  card: Card,
  { name, channels }: ExportedNetwork,
): Promise<Exact> {
  const model = await engine.load(folder);
  try {
    const rule = model.geometry;
    const classes = card.classes.length;
    const image = noiseImage(IMAGE.width, IMAGE.height, channels);
    const whole = new Float32Array(IMAGE.width * IMAGE.height * classes);
    const once = planTiles(image, { tile: chooseTile(image, 'whole', rule), rule });
    await runTiles(engine, model, image, once, 1, Number.POSITIVE_INFINITY, (tile, out, width) =>
      copyOwned(tile, out, width, whole, IMAGE.width, classes),
    );
    let [values, differing] = [0, 0];
    for (const tile of tilesFor(rule)) {
      const plan = planTiles(image, { tile, rule });
      await runTiles(engine, model, image, plan, 2, COMPUTED_PX, (each, out, width) => {
        differing += countDifferences(each, out, width, whole, IMAGE.width, classes);
        values += each.write.width * each.write.height * classes;
      });
    }
    const { halo, multiple, smallest } = rule;
    const { test, outside } = card.imported!.verification;
    return {
      name,
      halo: [halo.top, halo.left, halo.bottom, halo.right],
      multiple,
      smallest,
      parameters: card.architecture.parameters,
      mismatches: test!.mismatches,
      largestDifference: test!.largestDifference,
      values,
      differing,
      outside: outside!,
    };
  } finally {
    await engine.unload(model.id);
  }
}

/** The most px to compute for one plan: of plans that exceed this, an evenly spaced sample of tiles is compared. */
const COMPUTED_PX = 8e6;
