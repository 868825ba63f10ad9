import { describe, expect, it } from 'vitest';
import * as modelErrors from '../../../model/errors.js';
import { RequestError } from '../../../server/contract/errors.js';
import { codeOf, detailOf, problemOf } from '../../../server/contract/problems.js';
import * as tilingErrors from '../../../tiling/errors.js';

const system = (code: string) => Object.assign(new Error(`${code}: /a/secret`), { code, path: '/a/secret' });

describe('the table of problems', () => {
  const classes = Object.entries({ ...tilingErrors, ...modelErrors }).filter(
    ([name, value]) => name.endsWith('Error') && !/^(Model|Tiling|Remote)Error$/.test(name) && value !== null,
  );
  it.each(classes)('has a row for %s', (_name, Class) => {
    const error = new (Class as new (...args: unknown[]) => Error)('a', ['b'], 'c');
    expect(codeOf(error)).not.toBe('internal');
    expect(problemOf(codeOf(error)).code).toBe((error as Error & { code: string }).code);
  });

  it('gives each code a status and an exit code', () => {
    for (const code of ['busy', 'graph-failed', 'engine-failed', 'out-of-memory']) {
      const { status, exitCode } = problemOf(code);
      expect([code, status >= 400, exitCode > 1]).toEqual([code, true, true]);
    }
  });

  it("reports errors on the server's own files as internal errors", () => {
    expect(codeOf(system('ENOENT'))).toBe('internal');
    expect(codeOf(new RequestError('not-found', 'there is no job 7'))).toBe('not-found');
  });

  it('discloses no path', () => {
    for (const code of ['ENOENT', 'EACCES', 'ENOSPC', 'EMFILE']) {
      expect(detailOf(system(code))).not.toMatch(/secret/);
    }
  });

  it('ignores properties of Object.prototype', () => {
    expect(codeOf(system('constructor'))).toBe('internal');
    expect(problemOf('toString').code).toBe('internal');
  });
});
