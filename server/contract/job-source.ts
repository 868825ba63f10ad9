import { z } from 'zod';

const text = (maxChars: number) => z.string().min(1).max(maxChars);

/** Where a JSON body says that the image is. */
export const requestedSourceSchema = z
  .union(
    [
      z.strictObject({
        path: text(1000)
          // biome-ignore lint/suspicious/noControlCharactersInRegex: no path has it
          .regex(/^[^\u0000]*$/)
          .describe('of a file in the folder of slides'),
      }),
      z.strictObject({
        url: text(2000)
          .regex(/^[Hh][Tt][Tt][Pp][Ss]?:/, 'must begin with http: or https:')
          .pipe(z.url({ protocol: /^https?$/ }))
          .describe('of a TIFF or an OME-Zarr on an allowed host, which is read by range requests'),
      }),
      z.strictObject({ upload: text(200).describe('the address of a resumable upload, or its id') }),
    ],
    {
      error:
        'expected {"path": a file below the folder of slides}, {"url": a TIFF or OME-Zarr on an allowed host} ' +
        'or {"upload": the address of an upload}',
    },
  )
  .describe('where the image is');
export type RequestedSource = z.output<typeof requestedSourceSchema>;

/** The JSON body of a job or a plan, but for its parameters. */
export const jobBodySchema = z.looseObject({ source: requestedSourceSchema });
