import { z } from 'zod';
import { integer } from '../schemas/notation.js';
import type { Contents, Operation } from './operation.js';

const id = z.string().describe('of the job');
const tilePath = (format: 'jpeg' | 'png') =>
  z.object({
    id,
    level: z
      .string()
      .regex(/^\d{1,2}$/)
      .describe('of the pyramid: 0 is one px'),
    tile: z
      .string()
      .regex(new RegExp(`^\\d{1,7}_\\d{1,7}\\.${format}$`))
      .describe(`\`COLUMN_ROW.${format}\``)
      .meta({ example: `0_0.${format}` }),
  });
/** Of a stack: the indices of a plane in its image, by default those of the first plane that is segmented. */
export const planeQuerySchema = z.strictObject({
  z: integer(0, 999_999).optional().describe('of a stack, the plane: one of those that the job segments'),
  t: integer(0, 999_999).optional().describe('and the time'),
});
const description = {
  'application/xml': {
    schema: 'text',
    example:
      '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="0" TileSize="256">' +
      '<Size Width="2000" Height="1500"/></Image>',
  },
} as const satisfies Contents;

const OF_JOB = ['bad-request', 'not-found', 'unreadable-record'] as const;
const OF_TILES = [
  ...OF_JOB,
  'not-ready',
  'busy',
  'cancelled',
  'corrupt-image',
  'unsupported-image',
  'source-unreachable',
  'image-too-large',
  'too-little-memory',
  'disk-full',
  'unknown-model',
  'bad-checkpoint',
] as const;

export const DEEP_ZOOM = {
  getImage: {
    method: 'get',
    path: '/v1/jobs/{id}/image.dzi',
    scope: 'read',
    tag: 'Jobs',
    summary: "Get a job's image, as a Deep Zoom image",
    parameters: { path: z.object({ id }), query: planeQuerySchema },
    responses: { 200: { description: 'Its description.', content: description } },
    errors: OF_JOB,
  },
  getMask: {
    method: 'get',
    path: '/v1/jobs/{id}/mask.dzi',
    scope: 'read',
    tag: 'Jobs',
    summary: "Get a job's mask, as a Deep Zoom image",
    parameters: { path: z.object({ id }), query: planeQuerySchema },
    responses: { 200: { description: 'Its description.', content: description } },
    errors: OF_JOB,
  },
  getImageTile: {
    method: 'get',
    path: '/v1/jobs/{id}/image_files/{level}/{tile}',
    scope: 'read',
    tag: 'Jobs',
    summary: "Get a tile of a job's image",
    parameters: { path: tilePath('jpeg'), query: planeQuerySchema },
    responses: { 200: { description: 'The tile.', content: { 'image/jpeg': { schema: 'bytes' } } } },
    errors: OF_TILES,
  },
  getMaskTile: {
    method: 'get',
    path: '/v1/jobs/{id}/mask_files/{level}/{tile}',
    scope: 'read',
    tag: 'Jobs',
    summary: "Get a tile of a job's mask",
    parameters: { path: tilePath('png'), query: planeQuerySchema },
    responses: { 200: { description: 'The tile.', content: { 'image/png': { schema: 'bytes' } } } },
    errors: OF_TILES,
  },
} as const satisfies Record<string, Operation>;
