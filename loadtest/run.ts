import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { calibrate, meanOf, warmUp, warmUpHeaps } from './calibrate.js';
import { removeJob } from './jobs.js';
import { type Baseline, compareWithBaseline, judgeThresholds } from './judge.js';
import type { Exposition } from './measure/exposition.js';
import { Ledger } from './measure/ledger.js';
import { wallClock } from './measure/open-loop.js';
import { Random } from './measure/random.js';
import { type Reconciled, reconcile } from './measure/reconcile.js';
import type { Options } from './options.js';
import { startServer } from './product.js';
import { makeReport, type Report } from './report/report.js';
import { makeSamples } from './samples.js';
import { burst } from './scenarios/burst.js';
import { interactive } from './scenarios/interactive.js';
import { mixed } from './scenarios/mixed.js';
import type { Load, Scenario } from './scenarios/scenario.js';
import { soak } from './scenarios/soak.js';
import { Target } from './target.js';

const SCENARIOS: Record<Options['scenario'], Scenario> = { interactive, mixed, burst, soak };

/** A request is counted once its last byte is sent, just after the client has it: how long to wait for that. */
const SETTLE_MS = 3000;
const POLL_MS = 50;

/**
 * Runs a scenario, against a server that it starts if none is named.
 * @param log receives lines of progress
 */
export async function runScenario(
  options: Options,
  baseline: Baseline | null,
  log: (line: string) => void,
): Promise<Report> {
  const scenario = SCENARIOS[options.scenario];
  const dir = await mkdtemp(join(tmpdir(), 'unseam-loadtest-'));
  try {
    log('making images, and their masks in one pass');
    const samplesFolder = join(dir, 'samples');
    await mkdir(samplesFolder);
    const samples = await makeSamples(samplesFolder, options.model, options.seed);
    const own = options.url === null ? await startServer(join(dir, 'data'), scenario.serverArgs) : null;
    const target = new Target(options.url ?? own!.url, options.token, new Ledger());
    try {
      return await measure(options, scenario, baseline, { target, samples, log });
    } finally {
      for (const id of target.jobs.keys()) await removeJob(target, id);
      target.close();
      await own?.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measure(
  options: Options,
  scenario: Scenario,
  baseline: Baseline | null,
  { target, samples, log }: Pick<Load, 'target' | 'samples' | 'log'>,
): Promise<Report> {
  const { model, seed } = options;
  const random = new Random(seed);
  log('warming up');
  const start = await target.metrics();
  await warmUp(target, model, samples);
  if (scenario.isOfMemory) await warmUpHeaps(target, model, samples);
  const { after: before } = await settle(target, start);
  target.ledger = new Ledger();
  log('measuring each image alone');
  const early = await calibrate(target, model, samples, random);
  const speed = early.several;
  log(`${(speed.pixelsPerSecond / 1e6).toFixed(2)} Mpx/s; ${options.scenario}`);
  const loadStart = await target.metrics();
  const findings = await scenario.run({
    target,
    model,
    samples,
    random,
    speed,
    options,
    clock: wallClock,
    log,
  });
  const loadEnd = await target.metrics();
  log('measuring each image alone again');
  const alone = meanOf(early, await calibrate(target, model, samples, random));
  const ratios = scenario.ratios(findings, alone);
  const { reconciled } = await settle(target, before);
  return makeReport({
    scenario: options.scenario,
    about: scenario.about,
    model,
    seed,
    machine: { cores: availableParallelism(), cpu: cpus()[0]?.model ?? 'unknown', node: process.version },
    alone,
    findings,
    before: loadStart,
    after: loadEnd,
    reconciled,
    ratios,
    thresholds: judgeThresholds(ratios, scenario.thresholds),
    baseline: compareWithBaseline(ratios, baseline?.[options.scenario] ?? {}),
  });
}

/** Reads the counters until they agree with what was sent, or it is clear that they will not. */
async function settle(
  target: Target,
  before: Exposition,
): Promise<{ readonly after: Exposition; readonly reconciled: Reconciled[] }> {
  for (const started = performance.now(); ; ) {
    const after = await target.metrics();
    const reconciled = reconcile(before, after, target.ledger);
    const isOver = reconciled.every(({ agrees }) => agrees) || performance.now() - started > SETTLE_MS;
    if (isOver) return { after, reconciled };
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
