import { distributionOf } from '../measure/percentiles.js';
import type { Scenario } from './scenario.js';
import { runTraffic, sentOf, slowdownRatios, waitsInBatches, workConserved } from './traffic.js';

export const mixed: Scenario = {
  about: 'Images arrive one by one while slides run at bulk priority behind them, two at a time.',
  serverArgs: [],
  thresholds: {
    imageWaitP50InBatches: { most: 3 },
    imageWaitP95InBatches: { most: 8 },
    slideSlowdownP50: { most: 6 },
    workConserved: { least: 0.6 },
  },
  run: (load) => runTraffic(load, { utilisation: 0.3, seconds: 60, slides: 2 }),
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
