import { createHash } from 'node:crypto';
import { pause } from '../server.js';

interface JobFacts {
  readonly id: string;
  readonly state: string;
  readonly plan: { readonly tiles: number };
  readonly progress?: { readonly tilesDone: number; readonly tilesReplayed: number };
}

export const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A client of a server, with one token and one image, that counts what it did not get and what was wrong. */
export class Client {
  /** Jobs and requests that did not succeed, with what the server said. */
  readonly lost: string[] = [];
  /** Masks that are not the expected one. */
  different = 0;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    private readonly url: string,
    token: string,
    private readonly query: string,
    private readonly image: Buffer,
    private readonly expected: string,
  ) {
    this.#headers = { authorization: `Bearer ${token}`, accept: 'image/tiff' };
  }

  /** Requests a mask at once. Resolves when it was compared. */
  async segment(): Promise<void> {
    await this.#compare(this.#post('segment', this.image));
  }

  /** Submits a job. Resolves with its id when half of it is computed. */
  async beginJob(): Promise<string> {
    const response = await this.#post('jobs', this.image);
    if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
    const { id } = (await response.json()) as JobFacts;
    for (;;) {
      const { state, plan, progress } = await this.#job(id);
      if ((progress?.tilesDone ?? 0) >= plan.tiles / 2 || !isActive(state)) return id;
      await pause(20);
    }
  }

  /** Waits for a job's end, and compares its mask. @returns its tiles that were not computed again */
  async finishJob(id: string): Promise<number> {
    for (;;) {
      const { state, progress } = await this.#job(id);
      if (!isActive(state)) {
        await this.#compare(fetch(`${this.url}/v1/jobs/${id}/result`, { headers: this.#headers }));
        return progress?.tilesReplayed ?? 0;
      }
      await pause(200);
    }
  }

  /** Begins an upload that never ends. */
  stall(): void {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(this.image.subarray(0, 1000)),
    });
    this.#post('jobs', body).catch(() => undefined); // ended with the server
  }

  #post(what: 'segment' | 'jobs', body: Buffer | ReadableStream): Promise<Response> {
    const init = { method: 'POST', body, headers: this.#headers, duplex: 'half' } as RequestInit;
    return fetch(`${this.url}/v1/${what}?${this.query}`, init);
  }

  async #job(id: string): Promise<JobFacts> {
    return (await (await fetch(`${this.url}/v1/jobs/${id}`, { headers: this.#headers })).json()) as JobFacts;
  }

  async #compare(responding: Promise<Response>): Promise<void> {
    const response = await responding.catch((error: Error) => error);
    if (response instanceof Error) this.lost.push(String(response.cause ?? response));
    else if (!response.ok) this.lost.push(`${response.status}: ${await response.text()}`);
    else if (digest(Buffer.from(await response.arrayBuffer())) !== this.expected) this.different++;
  }
}

const isActive = (state: string): boolean => state === 'queued' || state === 'running';
