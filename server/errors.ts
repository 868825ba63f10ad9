/** Errors of `server/` itself: a request, an option or a folder that is not as it must be. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  constructor(
    readonly code: 'bad-request' | 'bad-data' | 'not-found' | 'too-large' | 'stalled' | 'busy' | 'cancelled',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
