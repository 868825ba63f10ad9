import type { Calibration } from '../calibrate.js';
import { type Outcome, sendImage } from '../images.js';
import { type JobOutcome, removeJob, runJob } from '../jobs.js';
import { drawArrivals } from '../measure/arrivals.js';
import { latencyMs, sendOnSchedule, type Timed } from '../measure/open-loop.js';
import { distributionOf, rounded } from '../measure/percentiles.js';
import { drawImage } from '../samples.js';
import type { Findings, Load } from './scenario.js';

/** What arrives in a scenario. */
export interface Traffic {
  /** Rate of images by default, as a share of what the server does in a closed loop. */
  readonly utilisation: number;
  /** How long images arrive by default, in s. */
  readonly seconds: number;
  /** Slides at a time that run as jobs of bulk priority behind the images. */
  readonly slides?: number;
  /** Whether their jobs are removed once they have been compared; otherwise they stay, to be counted. */
  readonly removesJobs?: boolean;
}

/** Sends images at random times, with slides behind them, until the last has its mask. */
export async function runTraffic(
  load: Load,
  { utilisation, seconds: ownSeconds, slides = 0, removesJobs = false }: Traffic,
): Promise<Findings> {
  const { options, speed } = load;
  const seconds = options.seconds ?? ownSeconds;
  const rate = options.rate ?? utilisation * speed.imagesPerSecond;
  const started = performance.now();
  let isOver = false;
  const running = slidesBehind(load, slides, () => isOver, removesJobs);
  const images = await imagesOnSchedule(load, rate, seconds).finally(() => (isOver = true));
  const groups = [{ name: 'images', sent: images }];
  if (slides > 0) groups.push({ name: 'slides', sent: await running });
  return {
    groups,
    errors: 0,
    wrongMasks: 0,
    lost: 0,
    elapsedS: (performance.now() - started) / 1000,
    facts: {
      seconds,
      imagesPerSecond: rounded(rate),
      connections: options.connections,
      slidesInFlight: slides,
    },
  };
}

/** Sends images of the mix at random times, at a rate, for some seconds. */
function imagesOnSchedule(load: Load, rate: number, seconds: number): Promise<Timed<Outcome>[]> {
  const { target, model, samples, random, options, clock } = load;
  const arrivals = drawArrivals(random, rate, seconds, () => drawImage(random, samples.images));
  load.log(`${arrivals.length} images in ${seconds} s, ${rate.toFixed(1)} a second`);
  return sendOnSchedule(arrivals, options.connections, clock, (sample) => sendImage(target, model, sample));
}

/** Keeps some slides running as jobs of bulk priority until `isOver`, and waits for the last of them. */
async function slidesBehind(
  { target, model, samples, clock }: Load,
  inFlight: number,
  isOver: () => boolean,
  removesJobs: boolean,
): Promise<Timed<JobOutcome>[]> {
  const origin = performance.now();
  const sent: Timed<JobOutcome>[] = [];
  let next = 0;
  const keepOne = async () => {
    while (!isOver()) {
      const intendedMs = performance.now() - origin;
      const slide = samples.slides[next++ % samples.slides.length]!;
      const result = await runJob(target, model, slide, 'bulk');
      sent.push({ result, intendedMs, startedMs: intendedMs, endedMs: intendedMs + result.endedMs });
      if (removesJobs && result.id !== null) await removeJob(target, result.id);
      if (result.verdict === 'refused') await clock.until(clock.now() + REFUSED_MS);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, keepOne));
  return sent;
}
const REFUSED_MS = 2000;

/** How many times as long requests took as their images take alone. */
function slowdowns(sent: readonly Timed<Outcome>[], { timesMs }: Calibration): number[] {
  return rightOf(sent).map((each) => latencyMs(each) / timesMs.get(each.result.sample.name)!);
}

/** The slowdowns of a group as ratios, such as `imageSlowdownP95`. */
export function slowdownRatios(name: string, sent: readonly Timed<Outcome>[], alone: Calibration) {
  const { p50, p95 } = distributionOf(slowdowns(sent, alone));
  return { [`${name}SlowdownP50`]: p50, [`${name}SlowdownP95`]: p95 };
}

/** What was done a second, as a share of what the server does with images alone. */
export function workConserved({ groups, elapsedS }: Findings, { several }: Calibration): number {
  const pixels = groups.flatMap(({ sent }) => rightOf(sent)).map(({ result }) => result.sample.pixels);
  return rounded(pixels.reduce((sum, each) => sum + each, 0) / elapsedS / several.pixelsPerSecond);
}

/** What was sent of a group, by its name. */
export const sentOf = ({ groups }: Findings, name: string): readonly Timed<Outcome>[] =>
  groups.find((group) => group.name === name)?.sent ?? [];

const rightOf = (sent: readonly Timed<Outcome>[]): Timed<Outcome>[] =>
  sent.filter(({ result }) => result.verdict === 'right');
