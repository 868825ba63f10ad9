import { hasEnded, type Job, type Model } from '../../client/index.js';
import { byId } from './by-id.js';
import { area, nameOf, size, stateOf } from './format.js';

/** The results that can be downloaded of a job with labels; the server derives those that do not exist yet. */
const DOWNLOADS = [
  ['labels', 'tiff', 'Mask, pyramidal OME-TIFF'],
  ['labels', 'png', 'Mask, PNG'],
  ['geojson', 'geojson', 'Regions, GeoJSON for QuPath'],
  ['objects', 'csv', 'Objects, CSV'],
  ['objects', 'json', 'Objects, JSON'],
  ['instances', 'tiff', 'Instances, TIFF'],
  ['labels', 'zarr', 'Mask, OME-Zarr in a ZIP archive'],
  ['overlay', 'png', 'Overlay, PNG'],
  ['thumbnail', 'png', 'Thumbnail, PNG'],
] as const;

/** Shows everything about a job but its pictures. */
export function showJob(job: Job, models: readonly Model[]): void {
  const ended = hasEnded(job);
  byId('title').textContent = `${nameOf(job)}: ${size(job)}`;
  byId('state').textContent = stateOf(job);
  const progress = byId<HTMLProgressElement>('progress');
  progress.hidden = ended;
  progress.value = job.progress ? job.progress.pixelsDone / job.progress.pixels : 0;
  byId('cancel').hidden = ended;
  byId('resume').hidden = job.state !== 'paused';
  byId('remove').hidden = !ended;
  const failure = byId('failure');
  failure.hidden = job.error === null;
  failure.textContent = job.error ? `${job.error.detail} (${job.error.code})` : '';
  const shown = job.state !== 'failed' && job.state !== 'cancelled';
  for (const id of ['viewer', 'tools', 'facts']) byId(id).hidden = !shown;
  showLegend(job, models);
  showDownloads(job);
  byId('receipt').textContent = JSON.stringify(job.receipt ?? { plan: job.plan, image: job.image }, null, 2);
}

/** Shows the classes with their colours and areas. */
function showLegend({ model, receipt }: Job, models: readonly Model[]): void {
  const card = models.find(({ name }) => name === model.split('/')[0]);
  const allPixels = receipt?.areas?.reduce((sum, { pixels }) => sum + pixels, 0) ?? 0;
  const rows = (card?.classes ?? []).map(({ name, colour }, i) => {
    const row = document.createElement('tr');
    const swatch = Object.assign(document.createElement('span'), { className: 'swatch' });
    if (colour) swatch.style.background = colour;
    const label = Object.assign(document.createElement('th'), { scope: 'row' });
    label.append(swatch, ` ${name}`);
    row.append(label);
    const found = receipt?.areas?.[i];
    if (found) {
      const share = (100 * found.pixels) / allPixels;
      const cells = [`${share.toFixed(2)} %`, `${found.pixels.toLocaleString('en')} px`];
      if (found.um2 !== null) cells.push(area(found.um2));
      for (const textContent of cells)
        row.append(Object.assign(document.createElement('td'), { className: 'number', textContent }));
    }
    return row;
  });
  byId('legend').replaceChildren(...rows);
}

function showDownloads({ id, state, receipt, image }: Job): void {
  const outputs = receipt?.outputs ?? [];
  const labels = outputs.some(({ kind }) => kind === 'labels');
  const known: readonly (readonly [string, string, string])[] = labels
    ? DOWNLOADS
    : outputs.map(({ kind, format }) => [kind, format, `${kind}, ${format}`] as const);
  const isStack = image.stack !== null; // whose planes are in no PNG
  const shown = known.filter(([, format]) => !isStack || format !== 'png');
  byId('downloads').replaceChildren(
    ...(state === 'succeeded' ? shown : []).map(([output, format, title]) => {
      const link = Object.assign(document.createElement('a'), {
        href: `/v1/jobs/${id}/result?output=${output}&format=${format}`,
        textContent: title,
        download: '',
      });
      const item = document.createElement('li');
      item.append(link);
      return item;
    }),
  );
}
