import { cpSync } from 'node:fs';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The ways in which a response violates what was expected. */
export const FAULTS = [
  'hung',
  'answered500',
  'unnamed',
  'acceptedBroken',
  'refusedSound',
  'disagreed',
  'unconfirmed',
  'leaked',
] as const;
export type Fault = (typeof FAULTS)[number];

/** An unexpected response, with what it takes to send its case again. */
export interface Surprise {
  readonly number: number;
  readonly phase: string;
  readonly subject: string;
  readonly what: string;
  readonly expected: string;
  readonly answered: string;
  readonly ms: number;
}

/** Counts unexpected responses and saves each case, so that it can be reproduced. */
export class Surprises {
  readonly counts: Record<Fault, number> = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<
    Fault,
    number
  >;
  slow = 0;

  private constructor(readonly folder: string) {}

  /** @param folder emptied first */
  static async open(folder: string): Promise<Surprises> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    return new Surprises(folder);
  }

  /** @param input what was sent: its bytes, or its path */
  async add(fault: Fault | 'slow', surprise: Surprise, input: Buffer | string): Promise<void> {
    if (fault === 'slow') this.slow++;
    else this.counts[fault]++;
    const file = `${surprise.phase}-${surprise.number}`;
    await appendFile(
      join(this.folder, 'surprises.jsonl'),
      `${JSON.stringify({ fault, ...surprise, file })}\n`,
    );
    if (typeof input === 'string')
      cpSync(input, join(this.folder, file), { recursive: true, verbatimSymlinks: true });
    else await writeFile(join(this.folder, file), input);
  }
}
