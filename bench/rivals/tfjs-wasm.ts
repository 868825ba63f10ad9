import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { version_wasm } from '@tensorflow/tfjs-backend-wasm';
import sharp from 'sharp';
import { z } from 'zod';
import { readCard } from '../../model/shelf/model-files.js';
import type { WasmTiles } from './tfjs-wasm-session.js';

/**
 * Segments a slide by TensorFlow.js's `wasm` backend, as the scripts in Python do: tiles of an image in memory that is
 * mirrored around its border. The backend has one thread in Node, so each session is a worker thread.
 */
async function main(): Promise<void> {
  const names = ['model', 'exported', 'tile', 'sessions', 'threads', 'variant'];
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  });
  const folder = z.string().parse(values.model);
  const [imagePath = '', maskPath = ''] = positionals;
  const { halo, multiple, smallest } = (await readCard(folder)).architecture;
  const decoded = sharp(imagePath, { limitInputPixels: false }).extractChannel(0).raw();
  const { data, info } = await decoded.toBuffer({ resolveWithObject: true });
  const tile = Number(values.tile);
  const [rows, tileHeight] = divide(info.height, tile, multiple);
  const [columns, tileWidth] = divide(info.width, tile, multiple);
  const more = 2 * halo.top + ((smallest - 2 * halo.top) % multiple);
  const image = mirrored(data, info, halo.top, {
    width: columns * tileWidth + more,
    height: rows * tileHeight + more,
  });
  const mask = new Uint8Array(new SharedArrayBuffer(rows * tileHeight * columns * tileWidth));
  const next = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WasmTiles = {
    folder,
    image,
    mask,
    next,
    rows,
    columns,
    tileHeight,
    tileWidth,
    more,
  };
  await Promise.all(
    Array.from({ length: Number(values.sessions) }, () => {
      const worker = new Worker(new URL('./tfjs-wasm-session.js', import.meta.url), { workerData });
      return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    }),
  );
  await sharp(mask, { raw: { width: columns * tileWidth, height: rows * tileHeight, channels: 1 } })
    .extract({ left: 0, top: 0, width: info.width, height: info.height })
    .toColourspace('b-w')
    .tiff({ compression: 'deflate', tile: true, tileWidth: 256, tileHeight: 256 })
    .toFile(maskPath);
  console.log(
    JSON.stringify({ versions: { '@tensorflow/tfjs-backend-wasm': version_wasm }, precision: 'f32' }),
  );
}

/** As in slide.py: the number of tiles along an axis, and the length of each. */
function divide(length: number, tile: number, multiple: number): [count: number, length: number] {
  const count = Math.max(1, Math.round(length / tile));
  return [count, Math.ceil(length / (count * multiple)) * multiple];
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** An image with a border in which it is mirrored without its edge pixel: `before` px on the left and above. */
function mirrored(data: Uint8Array, size: Size, before: number, to: Size): WasmTiles['image'] {
  const pixels = new Uint8Array(new SharedArrayBuffer(to.width * to.height));
  const reflect = (i: number, length: number) => (i < 0 ? -i : i < length ? i : 2 * (length - 1) - i);
  for (let y = 0; y < to.height; y++) {
    const from = reflect(y - before, size.height) * size.width;
    const row = pixels.subarray(y * to.width, (y + 1) * to.width);
    row.set(data.subarray(from, from + size.width), before);
    for (let x = 0; x < before; x++) row[x] = data[from + before - x]!;
    for (let x = before + size.width; x < to.width; x++) {
      row[x] = data[from + reflect(x - before, size.width)]!;
    }
  }
  return { ...to, pixels };
}

await main();
