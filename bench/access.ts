import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TokenStore } from '../server/access/token-store.js';
import { type BenchModule, median } from './bench.js';
import { BenchServer } from './server.js';
import { writeSlide } from './slide.js';

const IMAGE = { width: 200, height: 200 };
const WARM_UPS = 50;
/** `ratio`: the median time of a request with a token and a line in the audit log, of the same request without. */
const LIMITS = { ratio: 1.03 };

export const options: NonNullable<BenchModule['options']> = { pairs: { type: 'string', default: '1500' } };

/**
 * Measures what access costs: `POST /v1/segment` of a small image to a server that needs a token and audits, and to one
 * that does neither, in turn and in changing order, one request at a time on an open connection.
 */
export const bench: BenchModule['bench'] = async (log, { pairs }) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const servers: BenchServer[] = [];
  try {
    const file = join(dir, 'image.tif');
    await writeSlide(file, 'shapes', IMAGE, null, 1);
    const image = await readFile(file);
    const guarded = join(dir, 'guarded');
    const { text: token } = await new TokenStore(guarded).create({
      name: 'bench',
      scopes: ['segment'],
      lifetimeMs: null,
    });
    const start = async (data: string, audit: string) => {
      const server = await BenchServer.start(data, ['--audit', audit]);
      servers.push(server);
      return server;
    };
    const [open, closed] = [
      await start(join(dir, 'open'), 'none'),
      await start(guarded, join(dir, 'audit.jsonl')),
    ];
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const tasks = {
      without: () => segment(agent, open.url, image, {}),
      with: () => segment(agent, closed.url, image, { authorization: `Bearer ${token}` }),
    };
    for (let i = 0; i < WARM_UPS; i++) for (const task of Object.values(tasks)) await task();
    const times = { without: [] as number[], with: [] as number[] };
    for (let i = 0; i < Number(pairs); i++) {
      const order = i % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const);
      for (const name of order) times[name].push(await tasks[name]());
      if ((i + 1) % 250 === 0) log(`${i + 1} pairs: ${ratioOf(times)}`);
    }
    agent.destroy();
    const lines = (await readFile(join(dir, 'audit.jsonl'), 'utf8')).trim().split('\n').length;
    const ratio = ratioOf(times);
    const ms = { without: round(median(times.without)), with: round(median(times.with)) };
    const isAudited = lines === Number(pairs) + WARM_UPS;
    return {
      pairs: Number(pairs),
      ms,
      ratio,
      isAudited,
      limits: LIMITS,
      holds: isAudited && ratio <= LIMITS.ratio,
    };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await rm(dir, { recursive: true, force: true });
  }
};

const round = (value: number): number => Number(value.toFixed(3));
const ratioOf = (times: { readonly without: readonly number[]; readonly with: readonly number[] }): number =>
  round(median(times.with) / median(times.without));

/** Sends an image, and reads its mask. Returns the time of both in ms. */
function segment(agent: Agent, url: string, image: Buffer, headers: Record<string, string>): Promise<number> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/v1/segment?model=shapes`,
      { method: 'POST', agent, headers: { ...headers, 'content-length': image.length } },
      (response) => {
        response.resume().on('end', () => {
          if (response.statusCode === 200) resolve(performance.now() - started);
          else reject(new Error(`it responded with ${response.statusCode}`));
        });
      },
    );
    sent.on('error', reject).end(image);
  });
}
