import { type Chart, chartsSvg } from '../../svg/charts.js';
import type { Monitor } from '../monitor.js';
import type { LogLine } from './training-log.js';

/** Draws the curves of a training, two charts in a row, as SVG. */
export function curvesSvg(lines: readonly LogLine[], monitor: Monitor): string {
  return chartsSvg(chartsOf(lines, monitor), 2);
}

function chartsOf(lines: readonly LogLine[], monitor: Monitor): Chart[] {
  const steps = lines.filter((line) => line.kind === 'step');
  const epochs = lines.filter((line) => line.kind === 'epoch');
  const xLabel = 'steps';
  const score = (name: string): [number, number][] => epochs.map(({ step, scores }) => [step, scores[name]!]);
  const vRand =
    monitor === 'vRand' ? [{ name: 'V_Rand', colour: '#636363', points: score('vRandBestOf9') }] : [];
  return [
    {
      title: 'Loss',
      xLabel,
      cutAbove: 8,
      series: [
        { name: 'step', colour: '#3182bd', faint: true, points: steps.map(({ step, loss }) => [step, loss]) },
        { name: 'epoch', colour: '#08519c', points: epochs.map(({ step, loss }) => [step, loss]) },
        {
          name: 'validation',
          colour: '#e6550d',
          points: epochs.map(({ step, validationLoss }) => [step, validationLoss ?? Number.NaN]),
        },
      ],
    },
    {
      title: 'Validation pixel error',
      xLabel,
      series: [{ name: 'pixel error', colour: '#e6550d', points: score('pixelError') }],
    },
    {
      title: 'Validation overlap, mean over classes',
      xLabel,
      series: [
        { name: 'IoU', colour: '#31a354', points: score('meanIou') },
        { name: 'Dice', colour: '#756bb1', points: score('meanDice') },
        ...vRand,
      ],
    },
    {
      title: 'Learning rate',
      xLabel,
      series: [
        {
          name: 'rate',
          colour: '#636363',
          points: steps.map(({ step, learningRate }) => [step, learningRate]),
        },
      ],
    },
  ];
}
