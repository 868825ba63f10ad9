import { expect, it } from 'vitest';
import { readTraceContext } from '../../../server/traces/context.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

it('reads the trace, the span and whether it is recorded', () => {
  expect(readTraceContext(`00-${TRACE}-${SPAN}-01`, 'congo=t61rcWkgMzE')).toEqual({
    traceId: TRACE,
    spanId: SPAN,
    isSampled: true,
    state: 'congo=t61rcWkgMzE',
  });
  expect(readTraceContext(`00-${TRACE}-${SPAN}-00`, undefined)).toMatchObject({
    isSampled: false,
    state: '',
  });
});

it('reads what later versions add to it as far as it knows it', () => {
  expect(readTraceContext(`cc-${TRACE}-${SPAN}-09-what-else`, undefined)).toMatchObject({ isSampled: true });
});

it.each([
  undefined,
  '',
  'nonsense',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE}-${SPAN}-1`,
])('begins a trace where it is malformed: %s', (traceparent) => {
  expect(readTraceContext(traceparent, 'a=b')).toBeNull();
});

it('passes no state on that is longer than receivers have to accept', () => {
  expect(readTraceContext(`00-${TRACE}-${SPAN}-01`, `a=${'b'.repeat(600)}`)).toMatchObject({ state: '' });
});
