import { rounded } from '../measure/percentiles.js';
import type { Scenario } from './scenario.js';
import { imagesOnSchedule, sentOf, slowdownRatios } from './traffic.js';

/** The rate of arrivals, as a share of what the server does in a closed loop. */
const UTILISATION = 0.5;
const SECONDS = 40;

export const interactive: Scenario = {
  about: 'Images arrive one by one, at half the rate that the server can do.',
  serverArgs: [],
  thresholds: {
    imageSlowdownP50: { most: 3 },
    imageSlowdownP95: { most: 15 },
    concurrencyGain: { least: 0.8 },
  },
  async run(load) {
    const { options, speed } = load;
    const seconds = options.seconds ?? SECONDS;
    const rate = options.rate ?? UTILISATION * speed.imagesPerSecond;
    const started = performance.now();
    const images = await imagesOnSchedule(load, rate, seconds);
    return {
      groups: [{ name: 'images', sent: images }],
      errors: 0,
      wrongMasks: 0,
      lost: 0,
      elapsedS: (performance.now() - started) / 1000,
      facts: { seconds, imagesPerSecond: rounded(rate), connections: options.connections },
    };
  },
  ratios: (findings, alone) => ({
    ...slowdownRatios('image', sentOf(findings, 'images'), alone),
    concurrencyGain: rounded(alone.several.pixelsPerSecond / alone.one.pixelsPerSecond),
  }),
};
