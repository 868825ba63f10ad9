import { type ClosedLoopResult, runClosedLoop } from './closed-loop.js';
import { segmentPath } from './images.js';
import { runJob } from './jobs.js';
import { median } from './measure/percentiles.js';
import type { Random } from './measure/random.js';
import { mixOf, type Sample, type Samples } from './samples.js';
import type { Target } from './target.js';

/** How fast this server is on this machine, right now: what a load's figures are divided by. */
export interface Calibration {
  /** How long each sample takes when nothing else runs, in ms, by its name. */
  readonly timesMs: ReadonlyMap<string, number>;
  /** Pixels and images a second of the mix, one request after the other, and over several connections. */
  readonly one: Speed;
  readonly several: Speed;
  readonly errors: number;
  readonly wrongMasks: number;
}
export interface Speed {
  readonly pixelsPerSecond: number;
  readonly imagesPerSecond: number;
}

/** Requests of the mix in a closed loop, and its connections. */
const MIX = { requests: 50, connections: 4 } as const;
const IMAGE_RUNS = 3;
const HEAP_REQUESTS = { headers: 6000, images: 1500 } as const;

/** Sends each image and slide once: the server loads its model, tests its tiles and measures its lanes. */
export async function warmUp(target: Target, model: string, { images, slides }: Samples): Promise<void> {
  const { errors } = await runClosedLoop(target, model, images, 1);
  for (const slide of slides) await runJob(target, model, slide, 'normal');
  // The first large slide had the server choose other tiles: images meet them here.
  const again = await runClosedLoop(target, model, images, 2);
  if (errors + again.errors > 0) throw new Error(`the server fails single requests: model "${model}"?`);
}

/**
 * Sends small images, and some that are refused by their headers, as fast as the server responds: heaps and compiled code
 * reach their size only after some thousand requests.
 */
export async function warmUpHeaps(target: Target, model: string, { images, slides }: Samples): Promise<void> {
  const [smallest] = [...images].sort((a, b) => a.pixels - b.pixels);
  const { headers, images: segmented } = HEAP_REQUESTS;
  await runClosedLoop(
    target,
    model,
    Array.from({ length: segmented }, () => smallest!),
    2,
  );
  const truncated = slides.map(({ image }) => image.subarray(0, 1 << 17));
  const damaged = [...truncated, ...images.map(({ image }) => image.subarray(1000, 5000))];
  let next = 0;
  const connection = async () => {
    while (next < headers) {
      const body = damaged[next++ % damaged.length]!;
      await target.send({ method: 'POST', path: segmentPath(model), route: '/v1/segment', body });
    }
  };
  await Promise.all(Array.from({ length: MIX.connections }, connection));
}

/** Measures what each sample takes alone, and what the server does in a closed loop over several connections. */
export async function calibrate(
  target: Target,
  model: string,
  { images, slides }: Samples,
  random: Random,
): Promise<Calibration> {
  const each = random.shuffle(Array.from({ length: IMAGE_RUNS }, () => images).flat());
  const single = await runClosedLoop(target, model, each, 1);
  const timesMs = new Map([...single.timesMs].map(([name, times]) => [name, median(times)]));
  let [errors, wrongMasks] = [single.errors, single.wrongMasks];
  for (const slide of slides) {
    const { verdict, endedMs } = await runJob(target, model, slide, 'normal');
    if (verdict === 'wrong') wrongMasks++;
    else if (verdict !== 'right') errors++;
    timesMs.set(slide.name, endedMs);
  }
  const mix = mixOf(random, images, MIX.requests);
  const several = await runClosedLoop(target, model, mix, MIX.connections);
  return {
    timesMs,
    one: speedOfOne(mix, timesMs),
    several: speedOf(several),
    errors: errors + several.errors,
    wrongMasks: wrongMasks + several.wrongMasks,
  };
}

/** The mix one after the other would take the sum of its images' times. */
function speedOfOne(mix: readonly Sample[], timesMs: ReadonlyMap<string, number>): Speed {
  const seconds = mix.reduce((sum, { name }) => sum + (timesMs.get(name) ?? 0), 0) / 1000;
  const pixels = mix.reduce((sum, each) => sum + each.pixels, 0);
  return { pixelsPerSecond: pixels / seconds, imagesPerSecond: mix.length / seconds };
}

const speedOf = ({ seconds, pixels, requests, errors }: ClosedLoopResult): Speed => ({
  pixelsPerSecond: pixels / seconds,
  imagesPerSecond: (requests - errors) / seconds,
});

/** The mean of two calibrations: one before a load, and one after it, since the machine's speed drifts. */
export function meanOf(a: Calibration, b: Calibration): Calibration {
  const mean = (x: number, y: number) => (x + y) / 2;
  const speed = (x: Speed, y: Speed): Speed => ({
    pixelsPerSecond: mean(x.pixelsPerSecond, y.pixelsPerSecond),
    imagesPerSecond: mean(x.imagesPerSecond, y.imagesPerSecond),
  });
  return {
    timesMs: new Map([...a.timesMs].map(([name, ms]) => [name, mean(ms, b.timesMs.get(name) ?? ms)])),
    one: speed(a.one, b.one),
    several: speed(a.several, b.several),
    errors: a.errors + b.errors,
    wrongMasks: a.wrongMasks + b.wrongMasks,
  };
}
