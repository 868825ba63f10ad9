import { STAGES } from '../contract/stages.js';
import type { RecordedReceipt } from '../jobs/job.js';

/**
 * A receipt as headers of a result: in whole as `Unseam-Receipt`, and what is often wanted apart.
 * @param stagesMs how long each stage of the request took
 */
export function receiptHeaders(
  receipt: RecordedReceipt,
  stagesMs: RecordedReceipt['stagesMs'],
): Record<string, string> {
  const timings = STAGES.flatMap((stage) => {
    const ms = stagesMs[stage];
    return ms === undefined ? [] : [`${stage};dur=${ms.toFixed(1)}`];
  });
  return {
    'Server-Timing': timings.join(', '),
    'Unseam-Model': `${receipt.model.name}/${receipt.model.version}`,
    'Unseam-Exact': String(receipt.exact),
    'Unseam-Receipt': asciiJson(receipt),
  };
}

/** JSON that a header can carry. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
