import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Card } from '../../../model/shelf/card.js';
import { miniatureOf } from '../data/miniature.js';
import type { Prediction } from '../evaluate.js';
import { type Picture, paint, paintLabels, paintPixels, sheetOf, writePicture } from './sheets.js';

/** Images in a sheet, at most. */
const MAX_ROWS = 6;
/** What stored values are multiplied by to be drawn in 8 bits. */
const TO_BYTES = { uint8: 1, uint16: 1 / 257, float32: 255 } as const;

/** A sheet that was written. */
export interface WrittenSheet {
  readonly title: string;
  readonly png: Buffer;
  readonly width: number;
  readonly height: number;
}

/** The sheets of a training's final predictions: a row for each image, with labels, prediction and error. */
export class PredictionSheets {
  readonly #rows: Record<'validation' | 'test', Picture[][]> = { validation: [], test: [] };

  constructor(private readonly classes: Card['classes']) {}

  /** Adds a row, unless the sheet is full. */
  async add(part: 'validation' | 'test', { pair, truth, labels }: Prediction): Promise<void> {
    const rows = this.#rows[part];
    if (rows.length >= MAX_ROWS) return;
    const { classes } = this;
    const image = await miniatureOf(pair.image);
    const { width, height } = truth;
    const error = paint(width, height, (at) => {
      if (truth.data[at]! >= classes.length) return [128, 128, 128];
      return truth.data[at] === labels.data[at] ? [240, 240, 240] : [200, 0, 30];
    });
    rows.push([
      paintPixels(image.data, image, TO_BYTES[pair.image.facts.dtype]),
      paintLabels(truth.data, width, height, classes),
      paintLabels(labels.data, width, height, classes),
      error,
    ]);
  }

  /** Writes `validation.png` and `test.png` into a folder; a sheet without rows is not written. */
  async write(folder: string): Promise<WrittenSheet[]> {
    const sheets: WrittenSheet[] = [];
    for (const [title, rows] of Object.entries(this.#rows)) {
      if (rows.length === 0) continue;
      const path = join(folder, `${title}.png`);
      const { width, height, data } = sheetOf(rows);
      await writePicture(path, { width, height, data });
      sheets.push({ title, png: await readFile(path), width, height });
    }
    return sheets;
  }
}
