import { distributionOf, rounded } from '../measure/percentiles.js';
import type { Scenario } from './scenario.js';
import {
  imagesOnSchedule,
  sentOf,
  slidesBehind,
  slowdownRatios,
  waitsInBatches,
  workConserved,
} from './traffic.js';

/** The rate of images, as a share of what the server does with images alone; slides take the rest. */
const UTILISATION = 0.3;
const SECONDS = 60;
const SLIDES = 2;

export const mixed: Scenario = {
  about: 'Images arrive one by one while slides run at bulk priority behind them, two at a time.',
  serverArgs: [],
  thresholds: {
    imageWaitP50InBatches: { most: 3 },
    imageWaitP95InBatches: { most: 8 },
    slideSlowdownP50: { most: 6 },
    workConserved: { least: 0.6 },
  },
  async run(load) {
    const { options, speed } = load;
    const seconds = options.seconds ?? SECONDS;
    const rate = options.rate ?? UTILISATION * speed.imagesPerSecond;
    const started = performance.now();
    let isOver = false;
    const running = slidesBehind(load, SLIDES, () => isOver, false);
    const images = await imagesOnSchedule(load, rate, seconds).finally(() => (isOver = true));
    const slides = await running;
    return {
      groups: [
        { name: 'images', sent: images },
        { name: 'slides', sent: slides },
      ],
      errors: 0,
      wrongMasks: 0,
      lost: 0,
      elapsedS: (performance.now() - started) / 1000,
      facts: {
        seconds,
        imagesPerSecond: rounded(rate),
        connections: options.connections,
        slidesInFlight: SLIDES,
      },
    };
  },
  ratios(findings, alone) {
    const waits = distributionOf(waitsInBatches(sentOf(findings, 'images'), alone));
    return {
      imageWaitP50InBatches: waits.p50,
      imageWaitP95InBatches: waits.p95,
      ...slowdownRatios('slide', sentOf(findings, 'slides'), alone),
      workConserved: workConserved(findings, alone),
    };
  },
};
