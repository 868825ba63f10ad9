import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { RequestError } from '../contract/errors.js';
import type { JobRecord } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';

type Idempotency = JobRecord['idempotency'];

/**
 * The key of a request's `Idempotency-Key`, with a digest by which a repetition is known; null without the header.
 * @param content what is requested, besides the length of its body
 */
export function idempotencyOf(request: Request, content: readonly unknown[]): Idempotency {
  const key = request.get('Idempotency-Key');
  if (key === undefined) return null;
  const text = JSON.stringify([...content, request.get('Content-Length') ?? null]);
  return { key, digest: createHash('sha256').update(text).digest('hex') };
}

/** Lets a request that is repeated with its key have no second effect. */
export class IdempotencyKeys {
  /** The keys of requests that have not made their job yet, each with its owner: owners may choose the same ones. */
  readonly #pending = new Set<string>();

  constructor(private readonly jobs: Pick<Jobs, 'findByKey'>) {}

  /**
   * The job that an earlier request of an owner made with the same key; null if there is none.
   * @throws RequestError `conflict` if that was another request
   */
  replay(idempotency: Idempotency, owner: string): JobRecord | null {
    const known = idempotency === null ? null : this.jobs.findByKey(idempotency.key, owner);
    if (known !== null && known.idempotency?.digest !== idempotency?.digest)
      throw new RequestError('conflict', 'this Idempotency-Key was used for another request');
    return known;
  }

  /**
   * Runs `work` while no other request of the owner has the same key.
   * @throws RequestError `conflict` if another one has it
   */
  async exclusively<Result>(
    idempotency: Idempotency,
    owner: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    if (idempotency === null) return work();
    const key = `${owner} ${idempotency.key}`;
    if (this.#pending.has(key))
      throw new RequestError('conflict', 'another request with this Idempotency-Key is still being received');
    this.#pending.add(key);
    try {
      return await work();
    } finally {
      this.#pending.delete(key);
    }
  }
}
