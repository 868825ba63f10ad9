import { expect, it } from 'vitest';
import { cacheDirOf } from '../../server/config.js';

it("measurements are in the user's cache, if there is one", () => {
  const homeless = () => {
    throw new Error('uv_os_homedir returned ENOENT');
  };
  expect(cacheDirOf(undefined, () => '/home/ada')).toBe('/home/ada/.cache/unseam');
  expect(cacheDirOf('', () => '/home/ada')).toBe('/home/ada/.cache/unseam');
  expect(cacheDirOf('/var/cache', homeless)).toBe('/var/cache/unseam');
  expect(cacheDirOf(undefined, homeless)).toBeNull();
});
