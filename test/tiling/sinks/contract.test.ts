import { rm } from 'node:fs/promises';
import type { Size } from '../../../tiling/geometry.js';
import { AreaCount } from '../../../tiling/sinks/areas.js';
import { FanoutSink } from '../../../tiling/sinks/fanout.js';
import { GeojsonWriter } from '../../../tiling/sinks/geojson.js';
import { BandJournal } from '../../../tiling/sinks/journal.js';
import { MemorySink } from '../../../tiling/sinks/memory.js';
import { ObjectTable } from '../../../tiling/sinks/objects.js';
import { OverlaySink } from '../../../tiling/sinks/overlay.js';
import { PngSink } from '../../../tiling/sinks/png.js';
import { RawSink } from '../../../tiling/sinks/raw.js';
import { RegionSink, type RegionWriter } from '../../../tiling/sinks/regions.js';
import { SplitSink } from '../../../tiling/sinks/split.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { ZarrSink } from '../../../tiling/sinks/zarr/zarr.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { pattern } from '../../support/rasters.js';
import { maskSinkContract } from './contract.js';

const mpp = { x: 0.25, y: 0.5 };
const classes = Array.from({ length: 4 }, (_, i) => ({
  name: `class ${i}`,
  colour: i === 0 ? null : `#0${i}ff80`,
}));
const image = ({ width, height }: Size) => memorySource(pattern(width, height, 3));

const png = (path: string, size: Size) => PngSink.create(path, size, { channels: 1, mpp, isLabels: true });
const labelsTiff = (path: string, size: Size) =>
  TiffSink.create(path, size, { channels: 1, dtype: 'uint8', mpp, overviews: 'majority', classes });
const probabilitiesTiff = (path: string, size: Size) =>
  TiffSink.create(path, size, { channels: 3, dtype: 'float32', mpp: null, overviews: 'mean' });
const labelsZarr = (kind: 'archive' | 'folder') => (path: string, size: Size) =>
  ZarrSink.create(
    path,
    size,
    { name: 'classes', isLabels: true, channels: 1, dtype: 'uint8', mpp, classes },
    kind,
  );
const probabilitiesZarr = (path: string, size: Size) =>
  ZarrSink.create(path, size, {
    name: 'probabilities',
    isLabels: false,
    channels: 3,
    dtype: 'float32',
    mpp: null,
  });
const regions = (size: Size, writer: RegionWriter, contours: boolean) =>
  new RegionSink(size, [writer], { contours, source: contours ? null : image(size), stack: null });
const table = async (path: string, size: Size, format: 'csv' | 'json') =>
  regions(
    size,
    await ObjectTable.create(path, format, {
      classes,
      mpp,
      channels: ['red', 'green', 'blue'],
      isStack: false,
    }),
    false,
  );
const geojson = async (path: string, size: Size) =>
  regions(size, await GeojsonWriter.create(path, classes, size, size, 0), true);

maskSinkContract('labels as PNG', { open: png });
maskSinkContract('labels as TIFF', { open: labelsTiff });
maskSinkContract('probabilities as TIFF', { open: probabilitiesTiff, floats: 3 });
maskSinkContract('labels as an archived Zarr', { open: labelsZarr('archive') });
maskSinkContract('labels as the folder of a Zarr', { open: labelsZarr('folder') });
maskSinkContract('probabilities as an archived Zarr', { open: probabilitiesZarr, floats: 3 });
maskSinkContract('labels as raw values', { open: (path, size) => RawSink.create(path, size, 1) });
maskSinkContract('probabilities as raw values', {
  open: (path, size) => RawSink.create(path, size, 3),
  floats: 3,
});
maskSinkContract('an overlay', {
  open: async (path, size) =>
    new OverlaySink(await PngSink.create(path, size, { channels: 3, mpp }), image(size), [null, [255, 0, 0]]),
});
maskSinkContract('regions as GeoJSON', { open: geojson, wholeRows: true });
maskSinkContract('objects as CSV', { open: (path, size) => table(path, size, 'csv'), wholeRows: true });
maskSinkContract('objects as JSON', { open: (path, size) => table(path, size, 'json'), wholeRows: true });
maskSinkContract('several sinks', {
  open: async (path, size) => new FanoutSink([await png(path, size), await labelsTiff(`${path}.tif`, size)]),
});
maskSinkContract('probabilities with labels behind them', {
  open: async (path, size) =>
    new SplitSink(3, await probabilitiesTiff(path, size), await png(`${path}.png`, size)),
  floats: 4,
});
maskSinkContract('a mask in memory', {
  open: async (_, size) => new MemorySink(size, 1),
  result: async ({ data }) => data!,
});
maskSinkContract('the areas of classes', {
  open: async () => new AreaCount(),
  result: async (areas) => Float64Array.from(areas.pixels(classes.length)),
});
// A journal is not a result: it exists from its first band on, and outlives its writer.
maskSinkContract('a journal', {
  async open(path) {
    await rm(path, { force: true });
    return BandJournal.open(path, 'contract');
  },
  async result(_, path, size) {
    const mask = new MemorySink(size, 1);
    const journal = await BandJournal.open(path, 'contract');
    for await (const { rect, data } of journal.replay()) await mask.writeBand(rect, data);
    await journal.finish();
    return mask.data!;
  },
});
