import { RequestError } from '../contract/errors.js';
import { OPERATIONS } from '../contract/operations.js';
import type { Check } from './operate.js';
import { principalOf } from './principal.js';
import { type Rate, RateLimiter } from './rate-limit.js';

/**
 * Limits the requests of each caller to a rate. All responses state the remaining requests, in the headers of
 * draft-ietf-httpapi-ratelimit-headers.
 */
export function limitRate(rate: Rate): Check {
  const limiter = new RateLimiter(rate);
  const window = Math.ceil(rate.burst / rate.perSecond);
  const policy = `"token";q=${rate.burst};w=${window}`;
  return (name) => (request, response, next) => {
    if (OPERATIONS[name].scope === null) return next();
    const { isAllowed, remaining, resetS, retryAfterS } = limiter.take(principalOf(request).id);
    response.set({ 'RateLimit-Policy': policy, RateLimit: `"token";r=${remaining};t=${resetS}` });
    if (!isAllowed) {
      response.set('Retry-After', String(retryAfterS));
      throw new RequestError(
        'rate-limited',
        `more than ${rate.perSecond} requests per second: the next one is accepted in ${retryAfterS} s`,
      );
    }
    next();
  };
}
