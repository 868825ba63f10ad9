import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Expectation } from './mutation.js';
import type { Oracle, Verdict } from './oracle.js';
import type { RequestExpectation } from './request-parts.js';
import { type HttpResponse, isNamed, leaks, SLOW_MS } from './responses.js';
import type { Seed } from './seeds.js';
import type { Fault, Surprise, Surprises } from './surprises.js';

/** What was sent, and the response that it requires; `sound` stands for an undamaged image. */
export interface Case extends Pick<Surprise, 'phase' | 'number' | 'subject' | 'what'> {
  readonly expected: Expectation | RequestExpectation | 'sound';
}

/** Compares responses with what was expected of them, counts them, and saves the unexpected ones. */
export class Judge {
  /** Images whose pixels matched an independent decoder's. */
  agreed = 0;
  /** Requests rejected with a documented error. */
  refused = 0;

  /** @param folder the server's and the benchmark's folder, which no response may reveal */
  constructor(
    private readonly oracle: Oracle | null,
    private readonly surprises: Surprises,
    private readonly folder: string,
  ) {}

  /**
   * Compares an overlay with the image as other decoders read it; null where no decoders are installed.
   * @param image its bytes, or its path
   */
  async compare(
    name: string,
    image: Buffer | string,
    { body }: Pick<HttpResponse, 'body'>,
    { query, planes, tolerance }: Pick<Seed, 'query' | 'planes' | 'tolerance'>,
  ): Promise<Verdict | null> {
    if (!this.oracle) return null;
    const path = join(this.folder, 'answers', name);
    const stored = typeof image === 'string' ? image : `${path}.image`;
    if (typeof image !== 'string') await writeFile(stored, image);
    await writeFile(`${path}.png`, body);
    const range = /range=([-\d,]+)/.exec(query)?.[1]?.split(',').map(Number) ?? null;
    const verdict = await this.oracle.compare({
      image: stored,
      answer: `${path}.png`,
      planes,
      tolerance,
      range,
    });
    await rm(`${path}.png`);
    if (typeof image !== 'string') await rm(stored);
    return verdict;
  }

  /** @param input what was sent, its bytes or its path: saved if the response is unexpected */
  async record(
    about: Case,
    response: HttpResponse,
    verdict: Verdict | null,
    input: Buffer | string,
  ): Promise<void> {
    const { status, type, body, ms } = response;
    const isSuccess = status >= 200 && status < 400;
    const details = verdict
      ? JSON.stringify(verdict.details ?? '')
      : isSuccess
        ? ''
        : body.toString('latin1', 0, 300);
    const surprise = { ...about, answered: `${status} ${type} ${details}`, ms: Math.round(ms) };
    const add = (fault: Fault | 'slow') => this.surprises.add(fault, surprise, input);
    if (ms > SLOW_MS) await add('slow');
    if (leaks(response, this.folder)) await add('leaked');
    const fault = faultOf(about.expected, response, verdict);
    if (fault) await add(fault);
    else if (verdict?.verdict === 'agrees') this.agreed++;
    else if (isNamed(response)) this.refused++;
  }
}

/** How a response violates what was expected; null where it does not. */
function faultOf(expected: Case['expected'], response: HttpResponse, verdict: Verdict | null): Fault | null {
  const { status, hung } = response;
  const isSuccess = status >= 200 && status < 400;
  if (hung) return 'hung';
  if (expected === 'nothing') return null;
  // Node's parser responds to malformed HTTP without a problem document, or closes the connection.
  const isRejected = status === 0 || (status >= 400 && status < 500) || status === 505;
  if (expected === 'malformed' && isRejected) return null;
  if (status === 500) return 'answered500';
  if (!isSuccess && !isNamed(response)) return 'unnamed';
  if (!isSuccess) return expected === 'sound' || expected === 'served' ? 'refusedSound' : null;
  if (expected === 'refused' || expected === 'malformed') return 'acceptedBroken';
  if (verdict?.verdict === 'differs') return 'disagreed';
  return verdict?.verdict === 'unreadable' ? 'unconfirmed' : null;
}
