import express from 'express';
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../../server/contract/operations/operation.js';
import { OPERATIONS } from '../../../server/contract/operations.js';
import { methodsAt, operateOn, pathPattern } from '../../../server/http/operate.js';

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
    const all = Object.values<Operation>(OPERATIONS).map((each) => `${each.method} ${pathPattern(each)}`);
    expect(new Set(all).size).toBe(all.length);
  });

  it('has paths of several segments where its last name stands for them', () => {
    const file = { path: '/v1/jobs/{id}/{store}/{key}', isDeep: true };
    expect(pathPattern(file)).toBe('/v1/jobs/:id/:store/*key');
    expect([...methodsAt('/v1/jobs/ID/labels.zarr/labels/classes/0/c/1/2')]).toEqual(['GET', 'HEAD']);
    expect([...methodsAt('/v1/jobs/ID/labels.zarr')]).toEqual([]);
  });
});
