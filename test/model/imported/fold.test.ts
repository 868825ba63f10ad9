import { describe, expect, it } from 'vitest';
import { type Constant, constant, intVector } from '../../../model/imported/constant.js';
import { Folding } from '../../../model/imported/fold.js';
import type { Attribute } from '../../../model/imported/onnx-file.js';

const fold = (
  opType: string,
  inputs: readonly (Constant | null)[],
  attributes: Record<string, Attribute> = {},
  outputs = ['y'],
) => {
  const node = { name: 'n', opType, inputs: [], outputs, attributes: new Map(Object.entries(attributes)) };
  return new Folding().fold(node, inputs);
};
const scalar = (n: number) => constant('int', [], [n]);
const matrix = constant('float', [2, 3], [1, 2, 3, 4, 5, 6]);

describe('a node of constants is computed', () => {
  it.each<[string, Constant[], Record<string, Attribute>, number[], number[]]>([
    ['Gather', [matrix, intVector([2, -3])], { axis: { i: 1 } }, [2, 2], [3, 1, 6, 4]],
    ['Gather', [matrix, scalar(1)], {}, [3], [4, 5, 6]],
    [
      'Concat',
      [matrix, constant('float', [2, 1], [7, 8])],
      { axis: { i: 1 } },
      [2, 4],
      [1, 2, 3, 7, 4, 5, 6, 8],
    ],
    ['ReduceMax', [matrix], { axes: { ints: [1] }, keepdims: { i: 0 } }, [2], [3, 6]],
    ['ReduceMean', [matrix, intVector([0])], {}, [1, 3], [2.5, 3.5, 4.5]],
    ['ReduceSum', [matrix, intVector([])], { noop_with_empty_axes: { i: 1 } }, [2, 3], [1, 2, 3, 4, 5, 6]],
    ['ReduceL2', [constant('float', [2], [3, 4])], {}, [1], [5]],
    [
      'Slice',
      [matrix, intVector([-1]), intVector([-9]), intVector([1]), intVector([-2])],
      {},
      [2, 2],
      [3, 1, 6, 4],
    ],
    ['Div', [intVector([-7, 7]), scalar(2)], {}, [2], [-3, 3]],
    ['Max', [intVector([1, 5]), scalar(3), scalar(4)], {}, [2], [4, 5]],
    ['Range', [scalar(2), scalar(9), scalar(3)], {}, [3], [2, 5, 8]],
  ])('%s', (opType, inputs, attributes, dims, values) => {
    const [result] = fold(opType, inputs, attributes)!;
    expect(result).toMatchObject({ dims });
    expect([...result!.values]).toEqual(values);
  });

  it('Split, into parts of which the last is smaller', () => {
    const parts = fold('Split', [matrix], { axis: { i: 1 }, num_outputs: { i: 2 } }, ['a', 'b'])!;
    expect(parts.map(({ dims, values }) => [dims, [...values]])).toEqual([
      [
        [2, 2],
        [1, 2, 4, 5],
      ],
      [
        [2, 1],
        [3, 6],
      ],
    ]);
  });
});

describe('is not computed', () => {
  const large = constant('float', [1, 1 << 16], new Float32Array(1 << 16));
  it.each<[string, string, (Constant | null)[], Record<string, Attribute>?]>([
    ['picks what is not there', 'Gather', [matrix, intVector([2])]],
    [
      'picks more than any weight has',
      'Gather',
      [large, constant('int', [1 << 11], new Float64Array(1 << 11))],
    ],
    [
      'slices by steps of 0',
      'Slice',
      [matrix, intVector([0]), intVector([1]), intVector([0]), intVector([0])],
    ],
    [
      'slices a dimension that it does not have',
      'Slice',
      [matrix, intVector([0]), intVector([1]), intVector([2])],
    ],
    ['splits into more than there is', 'Split', [matrix, intVector([9])]],
    ['joins what does not fit', 'Concat', [matrix, large], { axis: { i: 0 } }],
    ['reshapes to another size', 'Reshape', [matrix, intVector([2, 2])]],
    ['broadcasts what does not fit', 'Add', [matrix, intVector([1, 2])]],
    ['repeats too much', 'Expand', [matrix, intVector([1 << 20, 1 << 20, 2, 3])]],
    ['is of a negative size', 'ConstantOfShape', [intVector([-1, -1])]],
    [
      'reduces to too much',
      'ReduceSum',
      [constant('float', [1 << 26, 1 << 26, 0], [])],
      { axes: { ints: [2] } },
    ],
    ['misses an input', 'Add', [matrix]],
    ['permutes a dimension twice', 'Transpose', [matrix], { perm: { ints: [0, 0] } }],
  ])('what %s', (_name, opType, inputs, attributes) => {
    expect(fold(opType, inputs, attributes)).toBeNull();
  });

  it('more than a graph needs, however small each part is', () => {
    const folding = new Folding(100);
    const node = { name: 'n', opType: 'ConstantOfShape', inputs: [], outputs: ['y'], attributes: new Map() };
    const shape = intVector([24]);
    let count = 0;
    while (folding.fold(node, [shape]) !== null) count++;
    expect(count).toBe(4);
  });
});
