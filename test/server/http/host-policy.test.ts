import { describe, expect, it } from 'vitest';
import { hostPolicy, nameOfHost } from '../../../server/http/guard.js';

const accepted = (bound: string, given: string[] | null, names: string[]) =>
  names.filter((name) => hostPolicy(bound, given).accepts(name));

describe('the names of a server', () => {
  it('are only loopback names if it listens on loopback, otherwise any', () => {
    const names = ['localhost', 'a.localhost', '127.0.0.1', '[::1]', '10.0.0.7', 'unseam.lab', '127.lab'];
    for (const bound of ['127.0.0.1', 'localhost', '::1']) {
      expect(accepted(bound, null, names)).toEqual(names.slice(0, 4));
    }
    for (const bound of ['0.0.0.0', '::', '10.0.0.7']) expect(accepted(bound, null, names)).toEqual(names);
  });

  it('are the configured ones and loopback, on any address', () => {
    const names = ['localhost', 'unseam.lab', 'a.unseam.lab', 'b.lab', 'xb.lab', 'b.lab.org'];
    for (const bound of ['127.0.0.1', '0.0.0.0']) {
      expect(accepted(bound, ['unseam.lab'], names)).toEqual(['localhost', 'unseam.lab']);
      expect(accepted(bound, ['*.lab'], names)).toEqual(names.slice(0, -1));
      expect(accepted(bound, ['*'], names)).toEqual(names);
    }
  });

  it('are compared without port, case and trailing dot', () => {
    expect(['A.lab:80', 'a.lab.', '[::1]:8080', '[::1]'].map(nameOfHost)).toEqual([
      'a.lab',
      'a.lab',
      '[::1]',
      '[::1]',
    ]);
    for (const none of ['', 'a b', 'a:x', 'u@a', 'a/b', '[x]', ':80', 'x'.repeat(300)])
      expect(nameOfHost(none)).toBeNull();
  });
});
