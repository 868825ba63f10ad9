import { expect } from 'vitest';

interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

/** The body of an error response (RFC 9457). */
export async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toMatch(/application\/problem\+json/);
  return (await response.json()) as Problem;
}

/** Expects an error response whose problem has a code and a detail, and reveals no path of the server's `folder`. */
export async function expectProblem(
  response: Response,
  status: number,
  code: string,
  detail: RegExp,
  folder: string,
): Promise<void> {
  expect(response.status).toBe(status);
  const body = await problemOf(response);
  expect(body).toMatchObject({
    type: `urn:unseam:problem:${code}`,
    status,
    detail: expect.stringMatching(detail),
  });
  expect(JSON.stringify(body)).not.toContain(folder);
}
