import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { TestedModel } from '../../model/engine/engine.js';
import type { Size } from '../../tiling/geometry.js';
import { rangesOf } from '../../tiling/planes.js';
import type { DiscardedJournal } from '../../tiling/sinks/journal.js';
import { identityOf } from '../../tiling/sources/identity.js';
import type { Receipt } from '../contract/receipt.js';
import { statisticsSchema } from '../contract/statistics.js';
import type { PreparedJob } from './prepare.js';
import { planFacts } from './receipt.js';
import type { SegmentJob } from './segment-job.js';

/** What the bits of a job's bands depend on, besides the job itself. */
export interface Fingerprinted
  extends Pick<PreparedJob, 'plan' | 'output' | 'threshold' | 'choice' | 'planes'> {
  readonly model: TestedModel;
  /** By which the image is normalised; null where it is without. */
  readonly statistics: Receipt['statistics'];
}

/**
 * Everything that the bits of a job's bands, and their places, depend on. Bands with another fingerprint are discarded
 * and computed again. Its parts are named, so that a receipt can say which of them changed.
 */
export async function fingerprintOf(
  job: SegmentJob,
  { model, plan, output, threshold, choice: compute, planes, statistics }: Fingerprinted,
): Promise<string> {
  const { choice, symmetries, scale, background, signal } = job;
  const { versions, ...device } = model.environment;
  const { tile, stride } = planFacts(plan);
  return JSON.stringify({
    // Its layers and weights, and the normalisation and classes of its card.
    network: sha256(`${model.digest} ${JSON.stringify(model.card)}`),
    // Where tiles do not agree in every bit, threads may matter, too, and on a GPU the size of batches. Lanes never do.
    device: {
      ...device,
      ...(!model.exact && { threads: model.choice.threads }),
      ...(!model.exact && device.gpu && { batch: compute.batch }),
    },
    versions,
    image: { ...plan.image, identity: await identityOf(job.input, signal) },
    tissue:
      typeof background === 'object' && background !== null ? await maskOf(background.mask) : background,
    plan: { tile, stride },
    request: { choice, symmetries, scale, threshold, output },
    ...(planes && { stack: rangesOf(planes) }), // bands name them by their numbers among these
    ...(statistics && { statistics }),
  });
}

/** The tile that a fingerprint's bands were computed with; null where the text is not a fingerprint. */
export function tileOf(key: string): Size | null {
  const plan = PLAN.safeParse(parts(key).plan);
  if (!plan.success) return null;
  const [width, height] = plan.data.tile.split('x').map(Number) as [number, number];
  return { width, height };
}

/** The statistics that a fingerprint's bands were computed with; null where there are none. */
export function statisticsOf(key: string): Receipt['statistics'] {
  const statistics = statisticsSchema.safeParse(parts(key).statistics);
  return statistics.success ? statistics.data : null;
}

const PLAN = z.object({ tile: z.string().regex(/^\d{1,7}x\d{1,7}$/) });

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

async function maskOf(mask: string): Promise<unknown> {
  const { size, mtimeMs } = await stat(mask);
  return { mask, size, mtimeMs };
}

/** A receipt's warning that the bands of an earlier journal were discarded, and why. */
export function restartWarning({ reason, key }: DiscardedJournal, own: string): string {
  const cause = reason ?? differences(key, own);
  return `the job started over: the bands of its earlier run were discarded (${cause})`;
}

function differences(earlier: string, own: string): string {
  const [before, now] = [parts(earlier), parts(own)];
  const names = Object.keys(now).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
  return `of another ${names.join(', ')}`;
}

/** The parts of a fingerprint; none where the text is not one. */
function parts(key: string): Record<string, unknown> {
  try {
    return FINGERPRINT.parse(JSON.parse(key));
  } catch {
    return {};
  }
}

const FINGERPRINT = z.record(z.string(), z.unknown());
