import { rounded } from '../measure/percentiles.js';
import type { Scenario } from './scenario.js';
import { runTraffic, sentOf, slowdownRatios } from './traffic.js';

export const interactive: Scenario = {
  about: 'Images arrive one by one, at half the rate that the server can do.',
  serverArgs: [],
  thresholds: {
    imageSlowdownP50: { most: 3 },
    imageSlowdownP95: { most: 15 },
    concurrencyGain: { least: 0.8 },
  },
  run: (load) => runTraffic(load, { utilisation: 0.5, seconds: 40 }),
  ratios: (findings, alone) => ({
    ...slowdownRatios('image', sentOf(findings, 'images'), alone),
    concurrencyGain: rounded(alone.several.pixelsPerSecond / alone.one.pixelsPerSecond),
  }),
};
