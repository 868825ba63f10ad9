import { join } from 'node:path';
import { isStreamed, type MaskKind, maskOf, type ResultFile } from '../contract/outputs.js';

/** Which results of a job are written from one of its masks, and when. */
export interface MaskRoute {
  readonly kind: MaskKind;
  /** Files that are written while its bands are computed, the mask itself among them where `derived` needs it. */
  readonly streamed: readonly ResultFile[];
  /** Files that are written from the finished mask. */
  readonly derived: readonly ResultFile[];
  /** The mask as a TIFF. */
  readonly mask: ResultFile;
  /** Whether that file is there for `derived` only, and is removed when they are written. */
  readonly isTemporary: boolean;
}

/**
 * Sorts a job's results by the mask that they are written from.
 * @param width of the image in px; null where masks are computed in another size, so that nothing can be streamed
 */
export function routeResults(
  {
    id,
    results,
    scratchDir,
  }: { readonly id: string; readonly results: readonly ResultFile[]; readonly scratchDir: string },
  width: number | null,
): MaskRoute[] {
  const kinds: readonly MaskKind[] = ['labels', 'probabilities'];
  return kinds.flatMap((kind) => {
    const requested = results.filter(({ output }) => maskOf(output) === kind);
    if (requested.length === 0) return [];
    const streamed = width === null ? [] : requested.filter(({ output }) => isStreamed(output, width));
    const derived = requested.filter((result) => !streamed.includes(result));
    const requestedMask = streamed.find(({ output, format }) => output === kind && format === 'tiff');
    const mask = requestedMask ?? {
      output: kind,
      format: 'tiff',
      path: join(scratchDir, `${id}.${kind}.tif`),
    };
    const isTemporary = requestedMask === undefined && derived.length > 0;
    return [{ kind, streamed: isTemporary ? [...streamed, mask] : streamed, derived, mask, isTemporary }];
  });
}
