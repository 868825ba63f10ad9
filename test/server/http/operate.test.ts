import express from 'express';
import { describe, expect, it } from 'vitest';
import { OPERATIONS } from '../../../server/contract/operations.js';
import { operateOn, pathPattern } from '../../../server/http/operate.js';

describe('an operation', () => {
  it('is registered by its method and its path', () => {
    const router = express.Router();
    const check = () => {};
    operateOn(router, () => check)('getImageTile', () => {});
    const routes = router.stack.map(({ route }) => [route!.path, route!.stack[0]!.method]);
    expect(routes).toEqual([['/v1/jobs/:id/image_files/:level/:tile', 'get']]);
    expect(router.stack[0]!.route!.stack[0]!.handle).toBe(check);
  });

  it('is the only one of its method and path', () => {
    const all = Object.values(OPERATIONS).map(({ method, path }) => `${method} ${pathPattern(path)}`);
    expect(new Set(all).size).toBe(all.length);
  });
});
