import { fileURLToPath } from 'node:url';
import { Engine, type EngineModel } from '../model/engine/engine.js';
import { type OutputKind, valuesPerPixel } from '../model/network/output-kind.js';
import { writeUntrained } from '../test/support/untrained.js';
import { type Size, within } from '../tiling/geometry.js';
import { chooseTile, planTiles } from '../tiling/plan.js';
import { pixelArray, type Raster } from '../tiling/raster.js';
import { readTile } from '../tiling/reader.js';
import { hash } from '../tiling/samples/random.js';
import { memorySource } from '../tiling/sources/memory.js';

/** One way to use a network: the graph that runs, and the type of the images. */
interface Use {
  readonly output: OutputKind;
  readonly dtype: 'uint8' | 'uint16' | 'float32';
  readonly symmetries?: true;
  readonly threshold?: number;
}

const USES: readonly Use[] = [
  { output: 'labels', dtype: 'uint8' },
  { output: 'labels', dtype: 'uint16' },
  { output: 'labels', dtype: 'float32' },
  { output: 'probabilities', dtype: 'uint16' },
  { output: 'probabilities', dtype: 'float32' },
  { output: 'both', dtype: 'uint8' },
  { output: 'labels', dtype: 'uint8', symmetries: true },
  { output: 'both', dtype: 'uint16', symmetries: true },
  { output: 'labels', dtype: 'uint8', threshold: 0.4 },
];
const IMAGE: Size = { width: 701, height: 533 };
const SERVED = ['em-membrane/1', 'em-membrane/1-int8'];
const LANES = 2;

/**
 * Compares tiles that take turns in two lanes of one thread, and tiles of two threads, with one pass over the whole
 * image in the first lane: labels and probabilities, with symmetries and thresholds, of every type of pixels, in gray and
 * in colour, also of a network that computes with bytes. Bit for bit.
 *
 * @param dir for an untrained network of three channels and classes
 */
export async function compareUses(
  dir: string,
  log: (line: string) => void,
): Promise<{ readonly values: number; readonly differing: number }> {
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  const tally = { values: 0, differing: 0 };
  try {
    const colour = `${dir}/colour`;
    await writeUntrained(engine, colour, { channels: [16, 32, 64], inputChannels: 3, classes: 3, seed: 1 });
    const served = SERVED.map((name) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url)));
    for (const folder of [...served, colour]) {
      const model = await engine.load(folder);
      for (const use of USES) {
        if (use.threshold !== undefined && model.card.classes.length !== 2) continue;
        const { values, differing } = await compareUse(engine, model, use);
        tally.values += values;
        tally.differing += differing;
        log(`${model.card.name}, ${JSON.stringify(use)}: ${differing} of ${values} values differ`);
      }
    }
  } finally {
    await engine.close();
  }
  return tally;
}

async function compareUse(engine: Engine, model: EngineModel, use: Use) {
  const { card, geometry } = model;
  const channels = card.inputChannels;
  const source = memorySource(noise(use.dtype, channels));
  const perPixel = valuesPerPixel(use.output, card.classes.length);
  /** Calls back with every tile's values, in bytes. */
  const segment = async (tile: Size, threads: number, onRow: (at: number, row: Buffer) => void) => {
    const plan = planTiles(IMAGE, { tile, rule: geometry });
    const outWidth = within(tile, geometry.halo).width;
    for (const band of plan.bands()) {
      for (const { index, read, write } of band.tiles) {
        const batch = { ...(await readTile(source, read)), count: 1 };
        const options = { ...use, threads, lane: threads === 1 ? index % LANES : 0 };
        const out = await engine.predict(model.id, batch, use.output, options);
        const unit = perPixel * out.BYTES_PER_ELEMENT;
        const bytes = Buffer.from(out.buffer, out.byteOffset, out.byteLength);
        for (let y = 0; y < write.height; y++) {
          const row = bytes.subarray(y * outWidth * unit, (y * outWidth + write.width) * unit);
          onRow(((write.y + y) * IMAGE.width + write.x) * unit, row);
        }
      }
    }
  };
  const whole: Buffer = Buffer.alloc(
    IMAGE.width * IMAGE.height * perPixel * (use.output === 'labels' ? 1 : 4),
  );
  await segment(chooseTile(IMAGE, 'whole', geometry), 2, (at, row) => void row.copy(whole, at));
  let values = 0;
  let differing = 0;
  const { smallest, multiple } = geometry;
  const sides = (w: number, h: number) => {
    return { width: smallest + w * multiple, height: smallest + h * multiple };
  };
  for (const [tile, threads] of [
    [sides(9, 23), 1],
    [sides(31, 31), 1],
    [sides(17, 9), 2],
  ] as const) {
    await segment(tile, threads, (at, row) => {
      values += row.length;
      for (let i = 0; i < row.length; i++) if (row[i] !== whole[at + i]) differing++;
    });
  }
  return { values, differing };
}

/** Pseudorandom pixels over the full range of their type. */
function noise(dtype: Use['dtype'], channels: number): Raster {
  const { width, height } = IMAGE;
  const data = pixelArray(dtype, width * height * channels);
  for (let i = 0; i < data.length; i++) {
    const bits = hash(i % width, Math.floor(i / width), 11) >>> 0;
    data[i] = dtype === 'float32' ? bits / 2 ** 32 : bits & (dtype === 'uint16' ? 0xffff : 0xff);
  }
  return { data, width, height, channels };
}
