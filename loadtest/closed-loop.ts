import autocannon from 'autocannon';
import { countAnswered, IMAGE_HEADERS, segmentPath } from './images.js';
import type { Sample } from './samples.js';
import type { Target } from './target.js';

/** What a closed loop measured: each connection sends its next request when it has the response to its last. */
export interface ClosedLoopResult {
  readonly requests: number;
  readonly errors: number;
  readonly wrongMasks: number;
  readonly seconds: number;
  readonly pixels: number;
  /** Times of responses in ms, by the sample's name. */
  readonly timesMs: ReadonlyMap<string, readonly number[]>;
}

const TIMEOUT_S = 300;
/** How often autocannon looks whether it is done. */
const SAMPLE_MS = 50;

/**
 * Has autocannon send each image once, in order, over several connections as fast as the server responds. That measures
 * what the server can do, not what a user waits: for latencies under load see `sendOnSchedule`.
 */
export async function runClosedLoop(
  target: Target,
  model: string,
  images: readonly Sample[],
  connections: number,
): Promise<ClosedLoopResult> {
  const timesMs = new Map<string, number[]>();
  let [ok, wrongMasks, pixels, connected] = [0, 0, 0, 0];
  const started = performance.now();
  let ended = started; // of the last response: autocannon's own duration is in whole intervals
  const open = Math.min(connections, images.length);
  await autocannon({
    url: `${target.url}${segmentPath(model)}`,
    method: 'POST',
    headers: { ...target.headers, ...IMAGE_HEADERS },
    connections: open,
    amount: images.length,
    timeout: TIMEOUT_S,
    sampleInt: SAMPLE_MS,
    setupClient(client) {
      // Connection i sends every image whose index is i modulo the number of connections, as autocannon divides them.
      const index = connected++;
      const own = images.filter((_, i) => i % open === index);
      client.setRequests(own.map(({ image }) => ({ body: image })));
      let sent = 0;
      // One request at a time: the pieces since the last response are this one's body.
      let body: Buffer[] = [];
      client.on('body', (piece) => body.push(Buffer.from(piece)));
      client.on('response', (status, _bytes, durationMs) => {
        ended = performance.now();
        const sample = own[sent++]!;
        target.ledger.countRequest('POST', '/v1/segment', status);
        if (status === 200) {
          ok++;
          pixels += sample.pixels;
          const mask = Buffer.concat(body);
          countAnswered(target.ledger, sample, mask.length);
          if (!mask.equals(sample.mask)) wrongMasks++;
          timesMs.set(sample.name, [...(timesMs.get(sample.name) ?? []), durationMs]);
        }
        body = [];
      });
    },
  });
  const seconds = (ended - started) / 1000;
  return { requests: images.length, errors: images.length - ok, wrongMasks, seconds, pixels, timesMs };
}

/** Has autocannon send a cheap GET over two connections, at twenty a second; returns its times in ms and its errors. */
export async function probe(
  target: Target,
  route: string,
  amount: number,
): Promise<{ readonly timesMs: readonly number[]; readonly errors: number }> {
  const timesMs: number[] = [];
  let ok = 0;
  await autocannon({
    url: `${target.url}${route}`,
    headers: target.headers,
    connections: 2,
    connectionRate: 10,
    amount,
    timeout: TIMEOUT_S,
    sampleInt: SAMPLE_MS,
    setupClient(client) {
      client.on('response', (status, _bytes, durationMs) => {
        target.ledger.countRequest('GET', route, status);
        if (status === 200) ok++;
        timesMs.push(durationMs);
      });
    },
  });
  return { timesMs, errors: amount - ok };
}
