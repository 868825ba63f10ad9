import type { Request, Response } from 'express';
import { parsePlaneRanges } from '../../../tiling/planes.js';
import { VIEW_TILE_PX, type ViewPlane, type ViewTile } from '../../contract/deep-zoom.js';
import { RequestError } from '../../contract/errors.js';
import { planeQuerySchema } from '../../contract/operations/deep-zoom.js';
import { parseParameters } from '../../contract/parameters.js';
import type { JobRecord } from '../../jobs/job.js';
import type { Jobs } from '../../jobs/jobs.js';
import { disconnection } from '../disconnection.js';
import { withFilesOf } from '../files-of-job.js';
import type { Operate } from '../operate.js';
import { visibleJobs } from '../principal.js';

const LAYERS = { image: 'jpeg', mask: 'png' } as const;
type Layer = keyof typeof LAYERS;

/**
 * `/v1/jobs/ID/image.dzi` and `/mask.dzi`, with their tiles: a slide and its mask as Deep Zoom images, for
 * OpenSeadragon and other viewers. Tiles of the mask are transparent where a class has no colour. Of a stack, `z` and `t`
 * in the query choose the plane; viewers repeat the query in the addresses of tiles.
 */
export function deepZoomRoutes(operate: Operate, jobs: Jobs): void {
  const sendDescription = (layer: Layer) => (request: Request<{ id: string }>, response: Response) => {
    const { width, height } = visibleJobs(jobs, request).get(request.params.id).image;
    parseParameters(planeQuerySchema, request.query);
    response
      .type('application/xml')
      .send(
        `<?xml version="1.0" encoding="UTF-8"?>\n<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" ` +
          `Format="${LAYERS[layer]}" Overlap="0" TileSize="${VIEW_TILE_PX}"><Size Width="${width}" Height="${height}"/></Image>\n`,
      );
  };
  const sendTile = (layer: Layer) => async (request: Request<TileParameters>, response: Response) => {
    const format = LAYERS[layer];
    const { id, level, tile } = request.params;
    const at = tileOf(level, tile, format);
    const record = visibleJobs(jobs, request).get(id);
    const plane = planeOf(record.image.stack, parseParameters(planeQuerySchema, request.query));
    const tileOfJob = () => jobs.results.tile(record, layer, at, { plane, signal: disconnection(response) });
    const bytes = await withFilesOf(jobs, record, tileOfJob);
    response.type(format).set('Cache-Control', 'private, max-age=86400').send(Buffer.from(bytes));
  };
  operate('getImage', sendDescription('image'));
  operate('getMask', sendDescription('mask'));
  operate('getImageTile', sendTile('image'));
  operate('getMaskTile', sendTile('mask'));
}

/**
 * The plane that is viewed of a stack; null for an image of one plane.
 * @throws RequestError `not-found` for a plane that the job does not segment
 */
function planeOf(
  stack: JobRecord['image']['stack'],
  { z, t }: { readonly z?: number | undefined; readonly t?: number | undefined },
): ViewPlane | null {
  if (stack === null) {
    if (z === undefined && t === undefined) return null;
    throw new RequestError(
      'not-found',
      'the job is of one plane: there are no others to choose with z and t',
    );
  }
  const [inDepth, inTime] = [placeOf('plane z', stack.z, z), placeOf('time t', stack.t, t)];
  return { image: { z: inDepth.index, t: inTime.index }, mask: { z: inDepth.place, t: inTime.place } };
}

/** An index among the chosen ones: the first where none is given. */
function placeOf(name: string, chosen: string, wanted: number | undefined) {
  const ranges = parsePlaneRanges(chosen);
  let before = 0;
  for (const [first, last] of ranges === null || ranges === 'all' ? [] : ranges) {
    const index = wanted ?? first;
    if (index >= first && index <= last) return { index, place: before + index - first };
    before += last - first + 1;
  }
  throw new RequestError('not-found', `the job does not segment ${name} ${wanted}: it segments ${chosen}`);
}

interface TileParameters {
  readonly id: string;
  readonly level: string;
  readonly tile: string;
}

function tileOf(level: string, name: string, format: string): ViewTile {
  const match = new RegExp(`^(\\d{1,7})_(\\d{1,7})\\.${format}$`).exec(name);
  if (!match || !/^\d{1,2}$/.test(level))
    throw new RequestError('not-found', `there is no tile ${level}/${name}`);
  return { level: Number(level), column: Number(match[1]), row: Number(match[2]) };
}
