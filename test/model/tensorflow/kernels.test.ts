import { beforeAll, describe, expect, it } from 'vitest';
import { prepareTensorFlow } from '../../../model/tensorflow/prepare.js';
import { cases, compute } from '../../support/kernel-cases.js';
import { difference, valuesOn } from '../../support/oracle.js';
import { tensorflow, titled } from '../../support/tensorflow.js';

describe.skipIf(!tensorflow)(titled("TensorFlow's kernels agree with the cpu backend"), () => {
  beforeAll(async () => {
    prepareTensorFlow(1);
    const { TensorFlowRuntime } = await import('../../../model/tensorflow/runtime.js');
    await TensorFlowRuntime.start(tensorflow!, 1);
  });

  it.each(cases)('%s', async (...each) => {
    const expected = await valuesOn('cpu', () => compute(each));
    const actual = await valuesOn('tensorflow', () => compute(each));
    expect(actual.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(
      expected.map(({ shape, dtype }) => ({ shape, dtype })),
    );
    for (const [i, { values }] of expected.entries()) {
      expect(difference(values, actual[i]!.values), `tensor ${i}`).toBeLessThan(2e-5);
    }
  });
});
