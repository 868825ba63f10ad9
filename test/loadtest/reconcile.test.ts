import { describe, expect, it } from 'vitest';
import { compareWithBaseline, judgeThresholds } from '../../loadtest/judge.js';
import { Exposition } from '../../loadtest/measure/exposition.js';
import { Ledger } from '../../loadtest/measure/ledger.js';
import { reconcile } from '../../loadtest/measure/reconcile.js';
import { routeOf } from '../../loadtest/target.js';

const BEFORE = `# HELP unseam_pixels_total Mask pixels computed.
# TYPE unseam_pixels_total counter
unseam_pixels_total{model="shapes"} 1000
unseam_http_request_duration_seconds_count{route="/v1/segment",method="POST",status="200"} 4
unseam_http_request_duration_seconds_count{route="/metrics",method="GET",status="200"} 9
unseam_jobs{state="succeeded"} 2
`;
const AFTER = `unseam_pixels_total{model="shapes"} 1500
unseam_pixels_total{model="em-membrane"} 250
unseam_upload_bytes_total 700
unseam_result_bytes_total{output="labels"} 80
unseam_http_request_duration_seconds_count{route="/v1/segment",method="POST",status="200"} 6
unseam_http_request_duration_seconds_count{route="/v1/segment",method="POST",status="429"} 1
unseam_http_request_duration_seconds_count{route="/metrics",method="GET",status="200"} 30
unseam_job_duration_seconds_count{class="interactive",state="succeeded"} 2
unseam_jobs{state="succeeded"} 3
`;

function ledger(): Ledger {
  const made = new Ledger();
  for (const status of [200, 200, 429]) made.countRequest('POST', '/v1/segment', status);
  made.countRequest('GET', '/metrics', 200);
  made.countPixels(750);
  made.countUpload(700);
  made.countResult(80);
  made.countEnd('interactive', 'succeeded');
  made.countEnd('interactive', 'succeeded');
  made.countJob('succeeded');
  return made;
}

const differences = (made: Ledger, after = AFTER) =>
  reconcile(new Exposition(BEFORE), new Exposition(after), made)
    .filter(({ agrees }) => !agrees)
    .map(({ what, client, server }) => `${what}: ${client}, ${server}`);

describe('an exposition', () => {
  it('is read with its labels, escapes and infinite bounds', () => {
    const read = new Exposition('a{x="1,\\"2\\"",le="+Inf"} 3\na{x="b}c"} 4 1700000000\nb 5e-1\n');
    expect(read.all('a').map(({ labels }) => labels.x)).toEqual(['1,"2"', 'b}c']);
    expect(read.sum('a')).toBe(7);
    expect(read.sum('a', { x: 'b}c' })).toBe(4);
    expect(read.sum('b')).toBe(0.5);
    expect(read.sum('c')).toBe(0);
    expect(() => new Exposition('<html>')).toThrow('not Prometheus');
  });
});

describe('counts', () => {
  it('agree where the server counted just what was sent', () => {
    expect(differences(ledger())).toEqual([]);
  });

  it('differ by a single request, by its status too, in either direction', () => {
    const more = ledger();
    more.countRequest('POST', '/v1/segment', 200);
    expect(differences(more)).toEqual(['requests: POST /v1/segment 200: 3, 2']);
    const other = `${AFTER}unseam_http_request_duration_seconds_count{route="/v1/plan",method="POST",status="500"} 1\n`;
    expect(differences(ledger(), other)).toEqual(['requests: POST /v1/plan 500: 0, 1']);
  });

  it('differ by a pixel, a byte and a job', () => {
    const other = ledger();
    other.countPixels(1);
    other.countUpload(-1);
    other.countJob('failed');
    other.countEnd('bulk', 'failed');
    expect(differences(other)).toEqual([
      'pixels: 751, 750',
      'bytes of images: 699, 700',
      'jobs that ended: bulk failed: 1, 0',
      'jobs that are there: failed: 1, 0',
    ]);
  });
});

describe('thresholds', () => {
  it('hold at their bounds, and not beyond', () => {
    const judge = (value: number) => judgeThresholds({ wait: value }, { wait: { least: 1, most: 2 } })[0]!;
    expect([0.9, 1, 2, 2.1].map((value) => judge(value).holds)).toEqual([false, true, true, false]);
    expect(judge(3).bound).toBe('at least 1, at most 2');
  });

  it('do not hold for what was not measured', () => {
    expect(judgeThresholds({}, { wait: { most: 2 } })[0]!.holds).toBe(false);
    expect(judgeThresholds({ wait: Number.NaN }, { wait: { most: 2 } })[0]!.holds).toBe(false);
  });
});

describe('a baseline', () => {
  it('is compared as a ratio, in the direction that is worse', () => {
    const compare = (ratios: Record<string, number>) =>
      compareWithBaseline(ratios, { slideSlowdownP50: 2, workConserved: 0.8 });
    const holds = (ratios: Record<string, number>) => compare(ratios).map((each) => each.holds);
    expect(holds({ slideSlowdownP50: 3.4, workConserved: 0.5 })).toEqual([true, true]);
    expect(holds({ slideSlowdownP50: 3.6, workConserved: 0.4 })).toEqual([false, false]);
    expect(holds({ slideSlowdownP50: 0.1, workConserved: 9 })).toEqual([true, true]);
    expect(compare({ slideSlowdownP50: 3 })).toEqual([
      { what: 'slideSlowdownP50', value: 3, baseline: 2, ratio: 1.5, holds: true },
    ]);
  });
});

describe('the route of a path', () => {
  it('has a name where the path has the id of a job', () => {
    const id = '0b9d4b64-5d0f-4a35-8f43-0f6d5c3d9a11';
    expect(routeOf(`/v1/jobs/${id}/result`)).toBe('/v1/jobs/:id/result');
    expect(routeOf(`/v1/jobs/${id}`)).toBe('/v1/jobs/:id');
    expect(routeOf('/v1/jobs')).toBe('/v1/jobs');
  });
});
