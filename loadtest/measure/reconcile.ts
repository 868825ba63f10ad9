import { type Exposition, growth } from './exposition.js';
import { type Ledger, requestKey } from './ledger.js';

/** One count, by the client and by the server. */
export interface Reconciled {
  readonly what: string;
  readonly client: number;
  readonly server: number;
  readonly agrees: boolean;
}

/** What scrapers and orchestrators request beside the load test. */
const BESIDE = /^\S+ \/(metrics|livez|readyz) /;

/**
 * Compares what a client counted with how much the server's counters have grown: requests by method, route and status,
 * pixels, bytes, and jobs by state. A count that only one of them has is a difference, too.
 */
export function reconcile(before: Exposition, after: Exposition, ledger: Ledger): Reconciled[] {
  const requests = compareCounts(
    ledger.requests,
    growth(requestsOf(before), requestsOf(after)),
    (key) => `requests: ${key}`,
  );
  const grown = (name: string) => after.sum(name) - before.sum(name);
  const sums = [
    compared('pixels', ledger.pixels, grown('unseam_pixels_total')),
    compared('bytes of images', ledger.uploadBytes, grown('unseam_upload_bytes_total')),
    compared('bytes of masks', ledger.resultBytes, grown('unseam_result_bytes_total')),
  ];
  const ended = compareCounts(
    ledger.ended,
    growth(endedOf(before), endedOf(after)),
    (key) => `jobs that ended: ${key}`,
  );
  const jobs = compareCounts(
    ledger.jobs,
    growth(before.by('unseam_jobs', 'state'), after.by('unseam_jobs', 'state')),
    (state) => `jobs that are there: ${state}`,
  );
  return [...requests, ...sums, ...ended, ...jobs];
}

function endedOf(exposition: Exposition): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { labels, value } of exposition.all('unseam_job_duration_seconds_count'))
    counts.set(`${labels.class} ${labels.state}`, value);
  return counts;
}

function requestsOf(exposition: Exposition): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { labels, value } of exposition.all('unseam_http_request_duration_seconds_count')) {
    const key = requestKey(labels.method ?? '', labels.route ?? '', labels.status ?? '');
    if (!BESIDE.test(key)) counts.set(key, (counts.get(key) ?? 0) + value);
  }
  return counts;
}

function compareCounts(
  client: ReadonlyMap<string, number>,
  server: ReadonlyMap<string, number>,
  nameOf: (key: string) => string,
): Reconciled[] {
  const keys = [...new Set([...client.keys(), ...server.keys()])].filter((key) => !BESIDE.test(key)).sort();
  return keys
    .map((key) => compared(nameOf(key), client.get(key) ?? 0, server.get(key) ?? 0))
    .filter((row) => row.client !== 0 || row.server !== 0);
}

const compared = (what: string, client: number, server: number): Reconciled => ({
  what,
  client,
  server,
  agrees: client === server,
});
