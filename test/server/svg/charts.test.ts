import { expect, it } from 'vitest';
import { chartsSvg } from '../../../server/svg/charts.js';

it('a chart of a long training is downsampled', () => {
  const points = Array.from({ length: 200_000 }, (_, step) => [step + 1, 1 / (step + 1)] as const);
  const svg = (logX: boolean) =>
    chartsSvg([{ title: 'Loss', xLabel: 'steps', logX, series: [{ name: 'loss', colour: 'red', points }] }]);
  for (const logX of [false, true]) {
    expect(() => svg(logX)).not.toThrow();
    const line = /<polyline points="([^"]*)"/.exec(svg(logX))![1]!.split(' ');
    expect([line.length > 100, line.length <= 600]).toEqual([true, true]);
  }
});
