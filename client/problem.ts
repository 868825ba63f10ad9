/** An error that the server responded with (RFC 9457): its message says what was wrong, and what would be right. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  constructor(
    /** Stable: `not-found`, `busy`, … */
    readonly code: string,
    readonly status: number,
    detail: string,
    /** When a repetition may succeed, in ms from now; null if it would fail in the same way. */
    readonly retryAfterMs: number | null,
  ) {
    super(detail);
  }
}

const TYPE = 'urn:unseam:problem:';

/** The error of a response. One without a problem document comes from something in between, such as a proxy. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const { status, headers } = response;
  const body = (await response.json().catch(() => null)) as {
    readonly type?: unknown;
    readonly detail?: unknown;
  } | null;
  const code = String(body?.type ?? '');
  const seconds = headers.get('Retry-After');
  return new ProblemError(
    code.startsWith(TYPE) ? code.slice(TYPE.length) : 'unknown',
    status,
    typeof body?.detail === 'string' ? body.detail : `the server responded with ${status}`,
    seconds === null || !/^\d+$/.test(seconds) ? null : 1000 * Number(seconds),
  );
}
