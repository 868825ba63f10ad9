import { describe, expect, it } from 'vitest';
import { encodingsOf } from '../../../model/quantisation/encoding.js';
import { quantiseFilter } from '../../../model/quantisation/filters.js';
import { noise } from '../../support/oracle.js';

const inputs = encodingsOf({ low: [-1, 0, -3], high: [1, 4, 0.5] }, false);
const outputs = encodingsOf({ low: [-2, 0], high: [2, 3] }, false);

describe('the encoding of a channel', () => {
  it('covers its range with 256 bytes, zero included', () => {
    const [both, positive, negative] = encodingsOf({ low: [-1, 1, -3], high: [1, 4, -1] }, false);
    const ends = ({ scale, zero }: { scale: number; zero: number }) => [
      scale * (0 - zero),
      scale * (255 - zero),
    ];
    expect(ends(both!)).toEqual([-1, expect.closeTo(1)]);
    expect(ends(positive!)).toEqual([0, expect.closeTo(4)]);
    expect(ends(negative!)).toEqual([expect.closeTo(-3), expect.closeTo(0)]);
  });

  it('starts at zero behind a ReLU', () => {
    expect(encodingsOf({ low: [1], high: [5] }, true)).toEqual([{ scale: 5 / 255, zero: 0 }]);
  });

  it('leaves room where a channel was silent, and has a scale where all were', () => {
    const [, silent] = encodingsOf({ low: [0, 0], high: [64, 0] }, true);
    expect(255 * silent!.scale).toBeCloseTo(1);
    expect(encodingsOf({ low: [0], high: [0] }, true)[0]!.scale).toBeGreaterThan(0);
  });
});

describe('a quantised filter', () => {
  const weights = { filter: noise(2 * 3 * 9), bias: Float32Array.of(0.3, -0.2) };
  const { filter, scale, bias } = quantiseFilter(weights, inputs, outputs);

  it('has weights whose products no CPU limits in 16 bits', () => {
    for (const row of [filter.subarray(0, 27), filter.subarray(27)]) {
      expect(Math.max(...row.map(Math.abs))).toBe(64);
    }
    expect(2 * 255 * 64).toBeLessThan(2 ** 15);
  });

  it('computes what the original does, within the rounding of its weights', () => {
    const bytes = Float32Array.from(noise(27, 9, 0, 255), Math.round);
    for (const [o, { scale: step, zero }] of outputs.entries()) {
      let [sum, expected, doubt] = [bias[o]!, weights.bias[o]!, 0];
      for (const [k, byte] of bytes.entries()) {
        const input = inputs[Math.floor(k / 9)]!;
        sum += filter[o * 27 + k]! * byte;
        expected += weights.filter[o * 27 + k]! * input.scale * (byte - input.zero);
        doubt += (scale[o]! / 2) * Math.abs(byte - input.zero);
      }
      expect(Math.abs(sum * scale[o]! - (expected / step + zero))).toBeLessThan(doubt);
    }
  });

  it('keeps its bias where all weights are zero', () => {
    const constant = { filter: new Float32Array(54), bias: Float32Array.of(1, 0) };
    const quantised = quantiseFilter(constant, inputs, outputs);
    const value = (o: number) => quantised.bias[o]! * quantised.scale[o]!;
    expect(value(0)).toBeCloseTo(1 / outputs[0]!.scale + outputs[0]!.zero, 3);
    expect(value(1)).toBe(0);
  });
});
