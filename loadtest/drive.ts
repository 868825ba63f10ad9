import autocannon from 'autocannon';

export interface Scenario {
  readonly name: string;
  readonly pixels: number;
  /** The image file's bytes, sent as they are. */
  readonly image: Buffer;
  /** The mask file that every answer must equal, byte for byte. */
  readonly expected: Buffer;
  readonly amount: number;
}

export interface ScenarioResult {
  readonly size: string;
  readonly requests: number;
  readonly ok: number;
  /** Requests that failed, timed out or were answered with anything but 200. */
  readonly errors: number;
  readonly wrongMasks: number;
  readonly pixels: number;
  readonly requestsPerSecond: number;
  readonly megapixelsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TIMEOUT_S = 300;

/** Sends one image again and again over some connections, and compares every mask. */
export async function drive(url: string, scenario: Scenario, connections: number): Promise<ScenarioResult> {
  let wrongMasks = 0;
  const started = performance.now();
  let ended = started; // autocannon itself ends at its next tick of a second
  const result = await autocannon({
    url,
    method: 'POST',
    body: scenario.image,
    headers: { 'content-type': 'application/octet-stream', accept: 'image/png' },
    connections: Math.min(connections, scenario.amount),
    amount: scenario.amount,
    timeout: TIMEOUT_S,
    setupClient(client) {
      // One request at a time on a connection: what came since the last response is this one's body.
      let body: Buffer[] = [];
      client.on('body', (chunk) => body.push(Buffer.from(chunk)));
      client.on('response', (status) => {
        ended = performance.now();
        if (status === 200 && !Buffer.concat(body).equals(scenario.expected)) wrongMasks++;
        body = [];
      });
    },
  });
  const seconds = (ended - started) / 1000;
  const ok = result['2xx'];
  return {
    size: scenario.name,
    requests: scenario.amount,
    ok,
    errors: scenario.amount - ok,
    wrongMasks,
    pixels: ok * scenario.pixels,
    requestsPerSecond: Number((ok / seconds).toFixed(2)),
    megapixelsPerSecond: Number(((ok * scenario.pixels) / seconds / 1e6).toFixed(3)),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  };
}
