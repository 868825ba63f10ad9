import { expect, it } from 'vitest';
import type { AnyOperator } from '../../../model/onnx/operator.js';
import { SessionCache } from '../../../model/onnx/sessions.js';

it('reports out of memory when a graph does not fit', async () => {
  const operator: AnyOperator = {
    name: 'Huge',
    emit: () => {
      throw new RangeError('Array buffer allocation failed'); // the message of V8
    },
  };
  const type = { shape: [1], dtype: 'float32' } as const;
  const node = { id: 0, operator, inputs: [], attributes: {}, type };
  const program = {
    nodes: [node],
    feeds: [],
    constants: [],
    outputs: [],
    precision: 'fp32',
    key: 'huge',
  } as const;
  const cache = new SessionCache({ provider: 'cpu', threads: 1, maxSessions: 1 });
  await expect(cache.get(program, 1)).rejects.toMatchObject({ code: 'out-of-memory' });
  expect(cache.stats).toEqual({ sessions: 0, compiled: 0 });
});
