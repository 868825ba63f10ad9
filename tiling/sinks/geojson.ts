import type { Size } from '../geometry.js';
import type { Plane } from '../planes.js';
import type { Region } from '../regions/region.js';
import { simplifyRings } from '../regions/simplify.js';
import type { RegionWriter } from './regions.js';
import { TextFile } from './text-file.js';
import type { MaskClass } from './tiff/ome-xml.js';

/**
 * Writes a feature per region, as QuPath reads and writes them (GeoJSON, RFC 7946, in px of the image's largest
 * level, y downwards): a polygon along the pixels' sides with its holes, and the class with its name and colour. In a
 * stack, geometries have the member `plane`, as QuPath's have: the indices in depth and time, and -1 for all channels.
 */
export class GeojsonWriter implements RegionWriter {
  #first = true;

  private constructor(
    private readonly file: TextFile,
    private readonly classes: readonly MaskClass[],
    private readonly size: Size,
    private readonly scale: { readonly x: number; readonly y: number },
    private readonly tolerance: number,
  ) {}

  /**
   * @param size of the mask
   * @param fullSize of the image's largest level
   * @param tolerance distance in px of the mask that simplified contours may have from the pixels' sides; 0
   *   keeps them exact
   */
  static async create(
    path: string,
    classes: readonly MaskClass[],
    size: Size,
    fullSize: Size,
    tolerance: number,
  ): Promise<GeojsonWriter> {
    const file = await TextFile.create(path);
    file.add('{"type":"FeatureCollection","features":[');
    const scale = { x: fullSize.width / size.width, y: fullSize.height / size.height };
    return new GeojsonWriter(file, classes, size, scale, tolerance);
  }

  add({ id, label, area, rings }: Region, plane: Plane | null): void {
    const simple = simplifyRings(rings, this.tolerance, this.size);
    const coordinates = simple.map((ring) => this.#ringText(ring)).join(',');
    const { name, colour } = this.classes[label] ?? { name: `class ${label}`, colour: null };
    const value = Number.parseInt(colour?.slice(1) ?? '808080', 16);
    const classification = { name, color: [value >> 16, (value >> 8) & 255, value & 255] };
    const properties = {
      objectType: 'annotation',
      classification,
      measurements: { 'Object ID': id, 'Area px^2': area * this.scale.x * this.scale.y },
    };
    const place = plane === null ? '' : `,"plane":{"c":-1,"z":${plane.z},"t":${plane.t}}`;
    this.file.add(
      `${this.#first ? '' : ','}\n{"type":"Feature","geometry":{"type":"Polygon","coordinates":[${coordinates}]${place}},` +
        `"properties":${JSON.stringify(properties)}}`,
    );
    this.#first = false;
  }

  drain(): Promise<void> {
    return this.file.drain();
  }

  async finish(): Promise<void> {
    this.file.add('\n]}\n');
    await this.file.finish();
  }

  abort(): Promise<void> {
    return this.file.abort();
  }

  /** A ring as text; its last corner repeats its first. */
  #ringText(ring: ArrayLike<number>): string {
    const { x, y } = this.scale;
    const corners: string[] = [];
    for (let i = 0; i <= ring.length; i += 2) {
      const at = i % ring.length;
      corners.push(`[${ring[at]! * x},${ring[at + 1]! * y}]`);
    }
    return `[${corners.join(',')}]`;
  }
}
