import { z } from 'zod';
import { count } from './values.js';

/** The result `objects`, as JSON. */
export const objectsSchema = z
  .array(
    z
      .looseObject({ id: count, class: z.string(), area_px: count })
      .describe(
        'a region: its area, centroid, bounding box and perimeter in px, and in µm where the pixel size is known; the ' +
          'mean of each channel',
      ),
  )
  .describe('the regions of an image');

/** The result `geojson` (RFC 7946). */
export const regionsSchema = z
  .object({
    type: z.literal('FeatureCollection'),
    features: z.array(
      z.object({
        type: z.literal('Feature'),
        geometry: z.object({
          type: z.literal('Polygon'),
          coordinates: z
            .array(z.array(z.array(z.number()).min(2).max(2)))
            .describe('rings in px of the largest level; the first is the outline, the others are holes'),
        }),
        properties: z.looseObject({}),
      }),
    ),
  })
  .describe('a polygon with holes for each region');
