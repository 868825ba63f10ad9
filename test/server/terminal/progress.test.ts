import { expect, it } from 'vitest';
import { timeLeft } from '../../../server/terminal/progress.js';

it('the time left is estimated once there is a speed', () => {
  expect(timeLeft(0, 4, 20_000)).toBe('');
  expect(timeLeft(1, 4, 20_000)).toBe(', 60 s left');
  expect(timeLeft(4, 4, 20_000)).toBe(', 0 s left');
});
