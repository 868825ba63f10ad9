import type { Scenario } from './scenario.js';
import { runTraffic, sentOf, slowdownRatios, workConserved } from './traffic.js';

export const mixed: Scenario = {
  about: 'Images arrive one by one while slides run at bulk priority behind them, two at a time.',
  serverArgs: [],
  thresholds: {
    imageSlowdownP50: { most: 3 },
    imageSlowdownP95: { most: 8 },
    slideSlowdownP50: { most: 6 },
    workConserved: { least: 0.6 },
  },
  run: (load) => runTraffic(load, { utilisation: 0.3, seconds: 60, slides: 2 }),
  ratios: (findings, alone) => ({
    ...slowdownRatios('image', sentOf(findings, 'images'), alone),
    ...slowdownRatios('slide', sentOf(findings, 'slides'), alone),
    workConserved: workConserved(findings, alone),
  }),
};
