import autocannon from 'autocannon';

/** One image, to be sent `amount` times. */
export interface Scenario {
  readonly name: string;
  readonly pixels: number;
  /** The image file, sent as the body. */
  readonly image: Buffer;
  /** The mask file that every response must match byte for byte. */
  readonly expected: Buffer;
  readonly amount: number;
}

/** What the client counted and measured for one scenario; latencies are percentiles, in ms. */
export interface ScenarioResult {
  readonly size: string;
  readonly requests: number;
  readonly ok: number;
  /** Requests that failed, timed out or got any status but 200. */
  readonly errors: number;
  readonly wrongMasks: number;
  readonly pixels: number;
  readonly requestsPerSecond: number;
  readonly megapixelsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TIMEOUT_S = 300;

/** Sends an image repeatedly over several connections, and compares every mask with the expected one. */
export async function drive(url: string, scenario: Scenario, connections: number): Promise<ScenarioResult> {
  let wrongMasks = 0;
  const started = performance.now();
  let ended = started; // of the last response: autocannon's own duration is in whole seconds
  const result = await autocannon({
    url,
    method: 'POST',
    body: scenario.image,
    headers: {
      'content-type': 'application/octet-stream',
      accept: 'image/png',
      'cache-control': 'no-cache',
    },
    connections: Math.min(connections, scenario.amount),
    amount: scenario.amount,
    timeout: TIMEOUT_S,
    setupClient(client) {
      // A connection carries one request at a time: the chunks since the last response are this one's body.
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
