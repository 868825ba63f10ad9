/** An error of `server/`, with its code: an invalid request, option or folder, or a server that cannot serve it. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  constructor(
    readonly code:
      | 'bad-request'
      | 'bad-data'
      | 'unauthorized'
      | 'forbidden'
      | 'exposed'
      | 'issuer-unreachable'
      | 'bad-certificate'
      | 'bad-range'
      | 'bad-expectation'
      | 'bad-method'
      | 'wrong-host'
      | 'wrong-protocol'
      | 'address-too-long'
      | 'header-too-long'
      | 'foreign-origin'
      | 'not-found'
      | 'conflict'
      | 'not-ready'
      | 'too-large'
      | 'too-little-memory'
      | 'stalled'
      | 'busy'
      | 'too-many-jobs'
      | 'too-many-pixels'
      | 'rate-limited'
      | 'quota-exceeded'
      | 'disk-full'
      | 'draining'
      | 'cancelled'
      | 'folder-in-use'
      | 'bad-folder'
      | 'bad-address'
      | 'address-in-use'
      | 'unreadable-record'
      | 'setup-failed'
      | 'worker-killer'
      | 'worker-hung',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
