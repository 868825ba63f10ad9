import { describe, expect, it } from 'vitest';
import { Exposition } from '../../loadtest/measure/exposition.js';
import { reportText } from '../../loadtest/report/console.js';
import { reportPage } from '../../loadtest/report/page.js';
import { makeReport, type Parts, type Report } from '../../loadtest/report/report.js';
import type { Sample } from '../../loadtest/samples.js';

const SPEED = { pixelsPerSecond: 4e6, imagesPerSecond: 10 };
const sample = (size: string, pixels: number): Sample => ({
  name: `${size} <shapes>`,
  size,
  pixels,
  share: 1,
  image: Buffer.alloc(0),
  mask: Buffer.alloc(0),
});
const SMALL = sample('256×256', 65_536);
const LARGE = sample('1024×1024', 1_048_576);

function timed(each: Sample, latency: number, verdict: 'right' | 'wrong' = 'right') {
  const result = { sample: each, verdict, status: 200, problem: verdict === 'wrong' ? 'another mask' : null };
  return { result, intendedMs: 100, startedMs: 110, endedMs: 100 + latency };
}

function reportOf(parts: Partial<Parts> = {}): Report {
  return makeReport({
    scenario: 'mixed',
    about: 'Images & slides.',
    model: 'shapes',
    seed: 1,
    machine: { cores: 2, cpu: 'Some <CPU>', node: 'v20' },
    alone: {
      timesMs: new Map([
        [SMALL.name, 20],
        [LARGE.name, 200],
      ]),
      one: SPEED,
      several: SPEED,
      errors: 0,
      wrongMasks: 0,
    },
    findings: {
      groups: [{ name: 'images', sent: [timed(LARGE, 300), timed(SMALL, 40), timed(SMALL, 60)] }],
      errors: 0,
      wrongMasks: 0,
      lost: 0,
      elapsedS: 10,
      facts: { imagesPerSecond: 3 },
    },
    before: new Exposition('unseam_stage_duration_seconds_sum{stage="infer"} 1\n'),
    after: new Exposition(
      'unseam_stage_duration_seconds_sum{stage="infer"} 7\nunseam_stage_duration_seconds_sum{stage="queue"} 2\n' +
        'unseam_engine_busy_seconds_total{device="cpu"} 5\n',
    ),
    reconciled: [{ what: 'pixels', client: 1, server: 1, agrees: true }],
    ratios: { workConserved: 0.9 },
    thresholds: [{ what: 'workConserved', value: 0.9, bound: 'at least 0.7', holds: true }],
    baseline: [],
    ...parts,
  });
}

describe('a report', () => {
  it('has the latencies of each group and size, as times and beside those alone', () => {
    const { groups, sizes, stagesS, deviceBusy, holds } = reportOf();
    expect(groups[0]).toMatchObject({ requests: 3, right: 3 });
    expect(groups[0]!.latencyMs).toMatchObject({ p50: 60, max: 300 });
    expect(groups[0]!.serviceMs).toMatchObject({ p50: 50, max: 290 });
    expect(sizes.map(({ name, slowdown }) => [name, slowdown.p50, slowdown.max])).toEqual([
      ['256×256', 2, 3],
      ['1024×1024', 1.5, 1.5],
    ]);
    expect(stagesS).toMatchObject({ infer: 6, queue: 2, upload: 0 });
    expect(deviceBusy).toBe(0.5);
    expect(holds).toBe(true);
  });

  it('fails for one wrong mask, one request lost, one count, one limit', () => {
    const { findings } = {
      findings: { groups: [], errors: 0, wrongMasks: 0, lost: 0, elapsedS: 1, facts: {} },
    };
    const wrong = reportOf({
      findings: { ...findings, groups: [{ name: 'images', sent: [timed(SMALL, 5, 'wrong')] }] },
    });
    expect(wrong).toMatchObject({
      wrongMasks: 1,
      holds: false,
      problems: ['256×256 <shapes>: another mask'],
    });
    expect(reportOf({ findings: { ...findings, lost: 1 } }).holds).toBe(false);
    const count = { what: 'pixels', client: 2, server: 1, agrees: false };
    expect(reportOf({ reconciled: [count] })).toMatchObject({ metricsAgree: false, holds: false });
    const limit = { what: 'workConserved', value: 0.1, bound: 'at least 0.7', holds: false };
    expect(reportOf({ thresholds: [limit] }).holds).toBe(false);
    expect(reportText(reportOf({ thresholds: [limit] }))).toContain(
      'workConserved is 0.1: at least 0.7 is required',
    );
  });

  it('is one page that loads nothing and runs nothing', () => {
    const page = reportPage(reportOf());
    expect(page).not.toMatch(/<(script|link|img|iframe|object)\b|\b(src|href)=|@import|url\(|https?:/i);
    expect(page).toContain('prefers-color-scheme: dark');
    expect(page).toContain('Some &#60;CPU&#62;');
    expect(page).not.toContain('<shapes>');
  });

  it('says in words what its charts show', () => {
    const page = reportPage(reportOf());
    const labels = [...page.matchAll(/<svg [^>]*role="img" aria-label="([^"]+)"/g)].map(([, label]) => label);
    expect(labels).toEqual([
      'Latency of images: half within 60 ms, 95 % within 300 ms, 99 % within 300 ms',
      'Shares of the stages: upload 0.0 %, decode 0.0 %, queue 25 %, infer 75 %, stitch 0.0 %, encode 0.0 %',
    ]);
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
  });
});
