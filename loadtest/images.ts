import type { Ledger } from './measure/ledger.js';
import type { Sample } from './samples.js';
import type { Reply, Target } from './target.js';

/** How a request for a mask ended. */
export type Verdict = 'right' | 'wrong' | 'refused' | 'failed';

/** A mask that was requested. */
export interface Outcome {
  readonly sample: Sample;
  readonly verdict: Verdict;
  readonly status: number;
  /** Why it failed; null where it did not. */
  readonly problem: string | null;
}

/** The path and headers of an image's request. */
export const segmentPath = (model: string): string => `/v1/segment?model=${encodeURIComponent(model)}`;
export const IMAGE_HEADERS = {
  'content-type': 'application/octet-stream',
  accept: 'image/png',
  'cache-control': 'no-cache',
} as const;

/** Sends an image, and compares its mask. */
export async function sendImage(target: Target, model: string, sample: Sample): Promise<Outcome> {
  const reply = await target.send({
    method: 'POST',
    path: segmentPath(model),
    route: '/v1/segment',
    headers: IMAGE_HEADERS,
    body: sample.image,
  });
  return outcomeOf(target, sample, reply);
}

/** Whether a status says that the server is busy, and to come back. */
export const isRefusal = (status: number): boolean => status === 429 || status === 503;

/** Compares a response with the mask, and counts its pixels. */
export function outcomeOf(target: Target, sample: Sample, { status, body, failure }: Reply): Outcome {
  if (status === 200) {
    countAnswered(target.ledger, sample, body.length);
    const isRight = body.equals(sample.mask);
    return { sample, status, verdict: isRight ? 'right' : 'wrong', problem: isRight ? null : 'another mask' };
  }
  const verdict = isRefusal(status) ? 'refused' : 'failed';
  return {
    sample,
    status,
    verdict,
    problem: failure ?? `status ${status}: ${body.toString().slice(0, 300)}`,
  };
}

/** Counts an image whose mask was the response. */
export function countAnswered(ledger: Ledger, { pixels, image }: Sample, maskBytes: number): void {
  ledger.countUpload(image.length);
  ledger.countPixels(pixels);
  ledger.countEnd('interactive', 'succeeded');
  ledger.countResult(maskBytes);
}
