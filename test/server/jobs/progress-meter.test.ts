import { describe, expect, it } from 'vitest';
import { ProgressMeter } from '../../../server/jobs/progress-meter.js';

describe('the progress of a job', () => {
  const progress = (tilesDone: number, pixelsComputed: number) => ({
    tiles: 10,
    tilesDone,
    tilesReplayed: 0,
    tilesSkipped: 0,
    tilesConstant: 0,
    tilesIdentical: 0,
    pixels: 1000,
    pixelsDone: 100 * tilesDone,
    pixelsComputed,
    haloAndPixels: pixelsComputed,
    planes: 1,
    planesDone: 0,
  });

  it('has a speed since the first computed tile, and an estimate of the remaining seconds', () => {
    let nowMs = 0;
    const meter = new ProgressMeter(() => nowMs);
    meter.start();
    nowMs = 60_000; // the image opens, and two tiles are replayed
    meter.report(progress(2, 0));
    nowMs = 62_000;
    meter.report(progress(4, 200));
    expect(meter.rates(meter.latest!)).toEqual({ pixelsPerSecond: 100, secondsLeft: 6 });
  });

  it('is published at once, then every 250 ms, and at the end', () => {
    let nowMs = 0;
    const meter = new ProgressMeter(() => nowMs);
    const reportAt = (ms: number, tilesDone: number) => {
      nowMs = ms;
      return meter.report(progress(tilesDone, 100 * tilesDone));
    };
    meter.start();
    const published = [reportAt(10, 1), reportAt(259, 2), reportAt(260, 3), reportAt(300, 4)];
    expect(published).toEqual([true, false, true, false]);
    expect(reportAt(301, 10)).toBe(true);
  });
});
