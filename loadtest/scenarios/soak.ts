import { isLevel, type Reading, type Trend, trendOf } from '../measure/trend.js';
import type { Target } from '../target.js';
import type { Scenario } from './scenario.js';
import { runTraffic, sentOf, slowdownRatios, workConserved } from './traffic.js';

const EVERY_MS = 5000;
/** Share of the time that is not looked at: caches fill up, heaps reach their size. */
const WARM_UP = 0.5;
/** Kinds of processes of which there is one: readers come and go with the load. */
const ONE_PROCESS = ['server', 'worker'] as const;
/** One slope in a hundred is taken for growth that is none. */
const TREND = { confidence: 0.99, blockS: 60, seed: 1 } as const;

/**
 * Growth in the time that is looked at, as a share of the value, that is none: heaps and arenas take longer than minutes
 * to reach their size. `npm run bench -- soak` looks for slopes of any size in half an hour.
 */
const SETTLING = 0.05;

/** Whether what is read grows: beyond its scatter, and beyond what heaps do. */
export const isGrowing = (trend: Trend): boolean => !isLevel(trend) && trend.change > SETTLING * trend.median;

export const soak: Scenario = {
  about:
    'The mixed load for ten minutes or longer: what the server says of its memory and files does not grow.',
  serverArgs: [],
  isOfMemory: true,
  thresholds: { growing: { most: 0 }, workConserved: { least: 0.6 } },
  async run(load) {
    let isOver = false;
    const watching = watchGauges(load.target, () => isOver);
    const traffic = { utilisation: 0.3, seconds: 600, slides: 1, removesJobs: true };
    const findings = await runTraffic(load, traffic).finally(() => (isOver = true));
    const trends: Record<string, Trend> = {};
    for (const [name, readings] of await watching) {
      const settled = readings.filter(({ atS }) => atS >= WARM_UP * findings.elapsedS);
      if (settled.length >= 3) trends[name] = trendOf(settled, TREND);
    }
    return { ...findings, trends };
  },
  ratios: (findings, alone) => ({
    growing: Object.values(findings.trends ?? {}).filter(isGrowing).length,
    ...slowdownRatios('image', sentOf(findings, 'images'), alone),
    workConserved: workConserved(findings, alone),
  }),
};

/** Reads until `isOver` what the server says of itself that must not grow. */
async function watchGauges(target: Target, isOver: () => boolean): Promise<Map<string, Reading[]>> {
  const readings = new Map<string, Reading[]>();
  const started = performance.now();
  while (!isOver()) {
    const exposition = await target.metrics();
    const atS = (performance.now() - started) / 1000;
    const add = (name: string, value: number) =>
      readings.set(name, [...(readings.get(name) ?? []), { atS, value }]);
    const memory = exposition.by('unseam_process_resident_memory_bytes', 'process');
    for (const name of ONE_PROCESS) add(`memory of the ${name}, MB`, (memory.get(name) ?? 0) / 1e6);
    if (exposition.has('process_open_fds')) add('open files', exposition.sum('process_open_fds'));
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  return readings;
}
