import type { Calibration } from '../calibrate.js';
import type { Compared, Judged } from '../judge.js';
import type { Exposition } from '../measure/exposition.js';
import { latencyMs, serviceMs } from '../measure/open-loop.js';
import { type Bar, type Distribution, distributionOf, histogramOf, rounded } from '../measure/percentiles.js';
import type { Reconciled } from '../measure/reconcile.js';
import type { Trend } from '../measure/trend.js';
import type { Findings, Group } from '../scenarios/scenario.js';

/** Stages in the order in which an image passes them. */
const STAGES = ['upload', 'decode', 'queue', 'infer', 'stitch', 'encode'] as const;

/** A group of requests, measured. */
export interface GroupReport {
  readonly name: string;
  readonly requests: number;
  readonly right: number;
  /** Time from when a request was to be sent to its mask, in ms. */
  readonly latencyMs: Distribution;
  /** Time from when it was sent, in ms: without the wait for a connection. */
  readonly serviceMs: Distribution;
  /** Latency by the time that the same image takes alone. */
  readonly slowdown: Distribution;
  readonly histogram: readonly Bar[];
}

/** What a load test found. */
export interface Report {
  readonly scenario: string;
  readonly about: string;
  readonly model: string;
  readonly seed: number;
  readonly machine: { readonly cores: number; readonly cpu: string; readonly node: string };
  readonly facts: Readonly<Record<string, number>>;
  readonly alone: {
    readonly timesMs: Readonly<Record<string, number>>;
    readonly megapixelsPerSecond: number;
    readonly megapixelsPerSecondOverSeveralConnections: number;
  };
  readonly groups: readonly GroupReport[];
  /** The groups again, by the sizes of their images. */
  readonly sizes: readonly GroupReport[];
  readonly statuses: Readonly<Record<string, number>>;
  /** Seconds in each stage, summed over what ran at the same time. */
  readonly stagesS: Readonly<Record<string, number>>;
  /** The part of the time in which the device computed. */
  readonly deviceBusy: number;
  readonly trends: Readonly<Record<string, Trend>>;
  readonly errors: number;
  readonly wrongMasks: number;
  readonly lost: number;
  /** Why requests failed, up to ten. */
  readonly problems: readonly string[];
  readonly reconciled: readonly Reconciled[];
  readonly metricsAgree: boolean;
  readonly ratios: Readonly<Record<string, number>>;
  readonly thresholds: readonly Judged[];
  readonly baseline: readonly Compared[];
  readonly holds: boolean;
}

/** What a report is made of. */
export interface Parts extends Pick<Report, 'scenario' | 'about' | 'model' | 'seed' | 'machine' | 'ratios'> {
  readonly alone: Calibration;
  readonly findings: Findings;
  /** The server's metrics at the start and at the end of the load. */
  readonly before: Exposition;
  readonly after: Exposition;
  readonly reconciled: readonly Reconciled[];
  readonly thresholds: readonly Judged[];
  readonly baseline: readonly Compared[];
}

export function makeReport(parts: Parts): Report {
  const { scenario, about, model, seed, machine, alone, findings, reconciled, thresholds, baseline } = parts;
  const outcomes = findings.groups.flatMap(({ sent }) => sent.map(({ result }) => result));
  const wrong = outcomes.filter(({ verdict }) => verdict === 'wrong').length;
  const failed = outcomes.filter(({ verdict }) => verdict === 'failed' || verdict === 'refused').length;
  const errors = failed + findings.errors + alone.errors;
  const wrongMasks = wrong + findings.wrongMasks + alone.wrongMasks;
  const metricsAgree = reconciled.every(({ agrees }) => agrees);
  const isMet = [...thresholds, ...baseline].every(({ holds }) => holds);
  return {
    scenario,
    about,
    model,
    seed,
    machine,
    facts: findings.facts,
    alone: {
      timesMs: Object.fromEntries(
        [...alone.timesMs].sort(([, a], [, b]) => a - b).map(([name, ms]) => [name, rounded(ms)]),
      ),
      megapixelsPerSecond: rounded(alone.one.pixelsPerSecond / 1e6),
      megapixelsPerSecondOverSeveralConnections: rounded(alone.several.pixelsPerSecond / 1e6),
    },
    groups: findings.groups.map((group) => reportGroup(group, alone)),
    sizes: findings.groups.flatMap(bySize).map((group) => reportGroup(group, alone)),
    statuses: findings.statuses ?? countStatuses(outcomes),
    stagesS: stagesOf(parts),
    deviceBusy: rounded(growthOf(parts, 'unseam_engine_busy_seconds_total') / findings.elapsedS),
    trends: findings.trends ?? {},
    errors,
    wrongMasks,
    lost: findings.lost,
    problems: outcomes
      .flatMap(({ sample, problem }) => (problem === null ? [] : [`${sample.name}: ${problem}`]))
      .slice(0, 10),
    reconciled,
    metricsAgree,
    ratios: parts.ratios,
    thresholds,
    baseline,
    holds: errors === 0 && wrongMasks === 0 && findings.lost === 0 && metricsAgree && isMet,
  };
}

function reportGroup({ name, sent }: Group, alone: Calibration): GroupReport {
  const right = sent.filter(({ result }) => result.verdict === 'right');
  const latencies = right.map(latencyMs);
  return {
    name,
    requests: sent.length,
    right: right.length,
    latencyMs: distributionOf(latencies),
    serviceMs: distributionOf(right.map(serviceMs)),
    slowdown: distributionOf(
      right.map((each) => latencyMs(each) / alone.timesMs.get(each.result.sample.name)!),
    ),
    histogram: histogramOf(latencies),
  };
}

function bySize({ sent }: Group): Group[] {
  const sizes = new Map<string, Group['sent'][number][]>();
  for (const each of sent) {
    const { size } = each.result.sample;
    sizes.set(size, [...(sizes.get(size) ?? []), each]);
  }
  const pixels = ([, [first]]: [string, Group['sent'][number][]]) => first!.result.sample.pixels;
  return [...sizes].sort((a, b) => pixels(a) - pixels(b)).map(([name, group]) => ({ name, sent: group }));
}

function countStatuses(outcomes: readonly { readonly status: number }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function growthOf({ before, after }: Parts, name: string, labels: Record<string, string> = {}): number {
  return after.sum(name, labels) - before.sum(name, labels);
}

const stagesOf = (parts: Parts): Record<string, number> =>
  Object.fromEntries(
    STAGES.map((stage) => [stage, rounded(growthOf(parts, 'unseam_stage_duration_seconds_sum', { stage }))]),
  );
