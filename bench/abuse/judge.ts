import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Answer, isNamed, leaks, SLOW_MS } from './answers.js';
import type { Expectation } from './mutation.js';
import type { Oracle, Verdict } from './oracle.js';
import type { RequestExpectation } from './request-parts.js';
import type { Seed } from './seeds.js';
import type { Fault, Surprise, Surprises } from './surprises.js';

/** What was sent, and what has to come of it; `sound` is an image as it was before it was broken. */
export interface Case extends Pick<Surprise, 'phase' | 'number' | 'subject' | 'what'> {
  readonly expected: Expectation | RequestExpectation | 'sound';
}

/** Holds answers against what was expected of them, and counts. */
export class Judge {
  /** Images whose pixels were those of an independent decoder. */
  agreed = 0;
  /** Named refusals. */
  refused = 0;

  /** @param folder of the server and its benchmark: no answer may name it */
  constructor(
    private readonly oracle: Oracle | null,
    private readonly surprises: Surprises,
    private readonly folder: string,
  ) {}

  /**
   * Compares an overlay with the image as other decoders read it; null where there are none.
   * @param image its bytes, or where it is
   */
  async compare(
    name: string,
    image: Buffer | string,
    { body }: Pick<Answer, 'body'>,
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

  /** @param input what was sent, kept where it surprises: its bytes, or where they are */
  async judge(about: Case, answer: Answer, verdict: Verdict | null, input: Buffer | string): Promise<void> {
    const { status, type, body, ms } = answer;
    const read = status >= 200 && status < 400;
    const said = verdict ? JSON.stringify(verdict.said ?? '') : read ? '' : body.toString('latin1', 0, 300);
    const surprise = { ...about, answered: `${status} ${type} ${said}`, ms: Math.round(ms) };
    const add = (fault: Fault | 'slow') => this.surprises.add(fault, surprise, input);
    if (ms > SLOW_MS) await add('slow');
    if (leaks(answer, this.folder)) await add('leaked');
    const fault = faultOf(about.expected, answer, verdict);
    if (fault) await add(fault);
    else if (verdict?.verdict === 'agrees') this.agreed++;
    else if (isNamed(answer)) this.refused++;
  }
}

function faultOf(expected: Case['expected'], answer: Answer, verdict: Verdict | null): Fault | null {
  const { status, hung } = answer;
  const read = status >= 200 && status < 400;
  if (hung) return 'hung';
  if (expected === 'nothing') return null;
  // Of what is no HTTP, node's parser says so in its own words, or the connection ends.
  const closed = status === 0 || (status >= 400 && status < 500) || status === 505;
  if (expected === 'malformed' && closed) return null;
  if (status === 500) return 'answered500';
  if (!read && !isNamed(answer)) return 'unnamed';
  if (!read) return expected === 'sound' || expected === 'served' ? 'refusedSound' : null;
  if (expected === 'refused' || expected === 'malformed') return 'acceptedBroken';
  if (verdict?.verdict === 'differs') return 'disagreed';
  return verdict?.verdict === 'unreadable' ? 'unconfirmed' : null;
}
