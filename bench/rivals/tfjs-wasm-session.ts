import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';
import * as wasm from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { loadCheckpoint } from '../../model/shelf/checkpoint.js';

/** A slide that several worker threads segment; its arrays are shared memory. */
export interface WasmTiles {
  /** Model folder. */
  readonly folder: string;
  readonly image: { readonly width: number; readonly height: number; readonly pixels: Uint8Array };
  /** `rows * tileHeight` by `columns * tileWidth` labels. */
  readonly mask: Uint8Array;
  /** The number of the next tile, row by row. */
  readonly next: Int32Array;
  readonly rows: number;
  readonly columns: number;
  readonly tileHeight: number;
  readonly tileWidth: number;
  /** What a tile reads beyond what it adds to the mask, in px, along each axis. */
  readonly more: number;
}

const { folder, image, mask, next, rows, columns, tileHeight, tileWidth, more } = workerData as WasmTiles;

wasm.setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))}/`);
await tf.setBackend('wasm');
const loaded = await loadCheckpoint(folder);
const { scores: network } = loaded.network.layers!;
for (;;) {
  const tile = Atomics.add(next, 0, 1);
  if (tile >= rows * columns) break;
  segment(Math.floor(tile / columns) * tileHeight, (tile % columns) * tileWidth);
}

/** Segments the tile that adds the pixels from (x, y) to the mask. */
function segment(y: number, x: number): void {
  const [height, width] = [tileHeight + more, tileWidth + more];
  const values = new Float32Array(height * width);
  for (let row = 0; row < height; row++) {
    const from = (y + row) * image.width + x;
    for (let i = 0; i < width; i++) values[row * width + i] = image.pixels[from + i]! / 255;
  }
  const labels = tf.tidy(() =>
    tf.argMax(network.apply(tf.tensor(values, [1, height, width, 1])) as tf.Tensor4D, 3),
  );
  const [, , labelsWidth] = labels.shape as [number, number, number];
  const data = labels.dataSync();
  for (let row = 0; row < tileHeight; row++) {
    const to = (y + row) * columns * tileWidth + x;
    for (let i = 0; i < tileWidth; i++) mask[to + i] = data[row * labelsWidth + i]!;
  }
  labels.dispose();
}
