import type { Engine, EngineModel } from '../model/engine/engine.js';
import { within } from '../tiling/geometry.js';
import type { Tile, TilePlan } from '../tiling/plan.js';
import type { Raster } from '../tiling/raster.js';
import { readTile } from '../tiling/reader.js';
import { hash } from '../tiling/samples/random.js';
import { memorySource } from '../tiling/sources/memory.js';

/** Runs a plan's tiles, or an evenly spaced sample of them, in batches; returns the number of tiles run. */
export async function runTiles(
  engine: Engine,
  model: EngineModel,
  image: Raster,
  plan: TilePlan,
  batchSize: number,
  maxComputedPx: number,
  onTile: (tile: Tile, output: Float32Array, outputWidth: number) => void,
): Promise<number> {
  const source = memorySource(image);
  const { width, height } = plan.tile;
  const every = Math.max(1, Math.ceil((plan.count * width * height) / maxComputedPx));
  let done = 0;
  const flush = async (tiles: Tile[]) => {
    if (tiles.length === 0) return;
    const rasters = await Promise.all(tiles.map((tile) => readTile(source, tile.read)));
    const data = new Uint8Array(tiles.length * width * height * image.channels);
    for (const [i, raster] of rasters.entries()) data.set(raster.data, i * raster.data.length);
    const batch = { data, count: tiles.length, height, width, channels: image.channels };
    const result = (await engine.predict(model.id, batch, 'probabilities')) as Float32Array;
    const length = result.length / tiles.length;
    for (const [i, tile] of tiles.entries()) {
      onTile(tile, result.subarray(i * length, (i + 1) * length), within(plan.tile, plan.halo).width);
    }
    done += tiles.length;
  };
  let pending: Tile[] = [];
  for (const band of plan.bands()) {
    for (const tile of band.tiles) {
      if (tile.index % every !== 0 && tile.index !== plan.count - 1) continue;
      pending.push(tile);
      if (pending.length === batchSize) {
        await flush(pending);
        pending = [];
      }
    }
  }
  await flush(pending);
  return done;
}

/** Copies what a tile owns into the whole image's output. */
export function copyOwned(
  tile: Tile,
  out: Float32Array,
  outWidth: number,
  into: Float32Array,
  width: number,
  classes: number,
): void {
  const length = tile.write.width * classes;
  for (let y = 0; y < tile.write.height; y++) {
    const from = y * outWidth * classes;
    into.set(out.subarray(from, from + length), ((tile.write.y + y) * width + tile.write.x) * classes);
  }
}

/** How many values of what a tile owns differ in their bits from those of the whole image. */
export function countDifferences(
  tile: Tile,
  out: Float32Array,
  outWidth: number,
  whole: Float32Array,
  width: number,
  classes: number,
): number {
  const a = new Uint32Array(out.buffer, out.byteOffset, out.length);
  const b = new Uint32Array(whole.buffer, whole.byteOffset, whole.length);
  let count = 0;
  for (let y = 0; y < tile.write.height; y++) {
    const from = y * outWidth * classes;
    const at = ((tile.write.y + y) * width + tile.write.x) * classes;
    for (let i = 0; i < tile.write.width * classes; i++) if (a[from + i] !== b[at + i]) count++;
  }
  return count;
}

/** Pseudorandom values, the same for each place and channel in every image. */
export function noiseImage(width: number, height: number, channels = 1): Raster {
  const data = new Uint8Array(width * height * channels);
  for (let i = 0; i < data.length; i++) {
    const px = Math.floor(i / channels);
    data[i] = hash(px % width, Math.floor(px / width), 7 + (i % channels)) & 255;
  }
  return { data, width, height, channels } as Raster;
}
