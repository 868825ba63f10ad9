import type { Plane } from '../planes.js';
import type { Region } from '../regions/region.js';
import type { PixelSize } from '../source.js';
import type { RegionWriter } from './regions.js';
import { TextFile } from './text-file.js';
import type { MaskClass } from './tiff/ome-xml.js';

export interface ObjectTableOptions {
  readonly classes: readonly MaskClass[];
  readonly mpp: PixelSize | null;
  /** Names of the image's channels, whose mean intensities are measured. */
  readonly channels: readonly string[];
  /** Whether rows state their plane, as those of a stack do. */
  readonly isStack: boolean;
}

/** Writes a table with a row per region: its measurements in px and, where the pixel size is known, in µm. */
export class ObjectTable implements RegionWriter {
  #rows = 0;

  private constructor(
    private readonly file: TextFile,
    private readonly format: 'csv' | 'json',
    private readonly options: ObjectTableOptions,
  ) {}

  static async create(
    path: string,
    format: 'csv' | 'json',
    options: ObjectTableOptions,
  ): Promise<ObjectTable> {
    return new ObjectTable(await TextFile.create(path), format, options);
  }

  add(region: Region, plane: Plane | null): void {
    const row = measurementsOf(region, plane, this.options);
    if (this.format === 'csv') {
      if (this.#rows === 0) this.file.add(`${Object.keys(row).join(',')}\n`);
      this.file.add(`${Object.values(row).map(csvCell).join(',')}\n`);
    } else {
      this.file.add(`${this.#rows === 0 ? '[' : ','}\n${JSON.stringify(row)}`);
    }
    this.#rows++;
  }

  drain(): Promise<void> {
    return this.file.drain();
  }

  async finish(): Promise<void> {
    if (this.format === 'json') this.file.add(this.#rows === 0 ? '[]\n' : '\n]\n');
    else if (this.#rows === 0)
      this.file.add(`${Object.keys(measurementsOf(EMPTY, FIRST, this.options)).join(',')}\n`);
    await this.file.finish();
  }

  abort(): Promise<void> {
    return this.file.abort();
  }
}

/** Stands for the columns of a table without rows. */
const EMPTY: Region = {
  id: 0,
  label: 0,
  area: 0,
  centroid: { x: 0, y: 0 },
  box: { x: 0, y: 0, width: 0, height: 0 },
  perimeter: 0,
  intensity: [],
  rings: [],
};

const FIRST: Plane = { z: 0, t: 0 };

/** Columns and values, in their order. The perimeter in µm is that of square pixels with the mean side. */
function measurementsOf(
  { id, label, area, centroid, box, perimeter, intensity }: Region,
  plane: Plane | null,
  { classes, mpp, channels, isStack }: ObjectTableOptions,
): Record<string, string | number> {
  const side = mpp && (mpp.x + mpp.y) / 2;
  return {
    id,
    ...(isStack && { z: plane?.z ?? 0, t: plane?.t ?? 0 }),
    class: classes[label]?.name ?? `class ${label}`,
    area_px: area,
    centroid_x_px: round(centroid.x),
    centroid_y_px: round(centroid.y),
    bbox_x_px: box.x,
    bbox_y_px: box.y,
    bbox_width_px: box.width,
    bbox_height_px: box.height,
    perimeter_px: perimeter,
    ...(mpp && {
      area_um2: round(area * mpp.x * mpp.y),
      centroid_x_um: round(centroid.x * mpp.x),
      centroid_y_um: round(centroid.y * mpp.y),
      bbox_x_um: round(box.x * mpp.x),
      bbox_y_um: round(box.y * mpp.y),
      bbox_width_um: round(box.width * mpp.x),
      bbox_height_um: round(box.height * mpp.y),
      perimeter_um: round(perimeter * side!),
    }),
    ...Object.fromEntries(channels.map((name, i) => [`mean_${name}`, round(intensity[i] ?? 0)])),
  };
}

const round = (value: number): number => Math.round(value * 1e4) / 1e4;

/** A CSV cell (RFC 4180). */
function csvCell(value: string | number): string {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
