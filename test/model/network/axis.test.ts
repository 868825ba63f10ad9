import { describe, expect, it } from 'vitest';
import { fraction } from '../../../model/network/axis/rational.js';
import { solveGeometry } from '../../../model/network/axis/solve.js';
import {
  type AxisStep,
  crop,
  interpolation,
  repeat,
  transposed,
  windows,
} from '../../../model/network/axis/steps.js';
import type { GeometryNode } from '../../../model/network/axis/walk.js';
import { even } from '../../support/rasters.js';

/** The geometry of operators in a row, the same along both axes. */
function chain(...steps: readonly AxisStep[]) {
  const nodes = steps.map(
    (step, i): GeometryNode => ({ name: `n${i}`, inputs: [i], output: i + 1, steps: [step, step] }),
  );
  return solveGeometry({ nodes, input: 0, output: steps.length });
}
const sides = (before: number, after: number) => ({ top: before, left: before, bottom: after, right: after });

const conv = (kernel: number, stride: number, padding: number) =>
  windows({ kernel, stride, padding: [padding, padding] });
const linear = (factor: number) => interpolation(fraction(factor, 1), { front: 0, behind: 1 }, true);
const cubic = interpolation(fraction(2, 1), { front: 1, behind: 2 }, true);

describe('the geometry of operators along an axis', () => {
  it.each<[string, AxisStep[], object]>([
    ['a padded convolution', [conv(3, 1, 1)], { halo: even(1), padded: even(1), multiple: 1, smallest: 3 }],
    ['a dilated one', [windows({ kernel: 3, dilation: 4 })], { halo: even(4), padded: even(0), multiple: 1 }],
    [
      'a strided 3×3 convolution, doubled by repetition: an even image uses no padding at its end',
      [conv(3, 2, 1), repeat(2)],
      { halo: sides(2, 0), padded: sides(2, 0), multiple: 2, smallest: 4 },
    ],
    ['a strided 7×7 convolution', [conv(7, 2, 3), repeat(2)], { halo: sides(4, 2), multiple: 2 }],
    [
      'k3s2p1 with output padding',
      [conv(2, 2, 0), transposed({ kernel: 3, stride: 2, padding: [1, 1], outputPadding: 1 })],
      { halo: sides(0, 1), padded: sides(0, 1), multiple: 2 },
    ],
    [
      'k4s2p1',
      [conv(2, 2, 0), transposed({ kernel: 4, stride: 2, padding: [1, 1] })],
      { halo: even(1), padded: even(1), multiple: 2 },
    ],
    [
      'k3s2p1 without output padding: of both parities, that which returns as many px as it reads',
      [conv(3, 2, 1), transposed({ kernel: 3, stride: 2, padding: [1, 1] })],
      { halo: even(2), multiple: 2, smallest: 7 },
    ],
    ['linear doubling', [conv(2, 2, 0), linear(2)], { halo: even(1), padded: even(1), multiple: 2 }],
    ['linear enlargement by 4', [conv(4, 4, 0), linear(4)], { halo: even(2), multiple: 4 }],
    ['cubic doubling', [conv(2, 2, 0), cubic], { halo: even(3), multiple: 2 }],
    [
      'a map that is finer than the image',
      [repeat(2), conv(3, 1, 1), conv(2, 2, 0)],
      { halo: even(1), multiple: 1 },
    ],
    [
      'a crop takes what padding has spoilt',
      [conv(3, 1, 1), crop(1, 1)],
      { halo: even(1), padded: even(0), smallest: 3 },
    ],
  ])('%s', (_name, steps, expected) => {
    expect(chain(...steps)).toMatchObject({ tileable: true, ...expected });
  });

  it('names the node at which maps fit at no size', () => {
    const step = (name: string, inputs: number[], output: number, steps: AxisStep | null): GeometryNode => ({
      name,
      inputs,
      output,
      steps: steps && [steps, steps],
    });
    const nodes = [step('cut', [0], 1, crop(1, 0)), step('sum', [0, 1], 2, null)];
    expect(() => solveGeometry({ nodes, input: 0, output: 2 })).toThrow('layer "sum" prevents exact tiling');
    const coarse = [step('half', [0], 1, conv(2, 2, 0)), step('join', [0, 1], 2, null)];
    expect(() => solveGeometry({ nodes: coarse, input: 0, output: 2 })).toThrow('"join"');
  });

  it('aligns rows and columns alike', () => {
    const nodes: GeometryNode[] = [
      { name: 'down', inputs: [0], output: 1, steps: [conv(2, 2, 0), conv(3, 3, 0)] },
      { name: 'up', inputs: [1], output: 2, steps: [repeat(2), repeat(3)] },
    ];
    expect(solveGeometry({ nodes, input: 0, output: 2 })).toMatchObject({
      halo: even(0),
      multiple: 6,
      smallest: 6,
    });
  });
});
