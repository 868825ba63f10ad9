import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { Bench } from './bench.js';
import { runTool } from './contract/run-tool.js';
import { summaryOf } from './contract/summary.js';
import { BenchServer } from './server.js';

const MODEL = 'em-membrane';
const MODELS = fileURLToPath(new URL('../../models', import.meta.url));
const FOLDER = fileURLToPath(new URL('../../bench/contract/', import.meta.url));
const VENV = join(FOLDER, '.venv/bin');
const UNSEAM = fileURLToPath(new URL('../server/bin.js', import.meta.url));
const [WIDTH, HEIGHT] = [500, 380];

export const options = { examples: { type: 'string', default: '100' } } as const;

/**
 * Tests `/openapi.json` with schemathesis, and the Open Inference Protocol with tritonclient, against real servers: one
 * that needs no token, and one that does. `bench/contract/requirements.txt` has what it needs.
 */
export const bench: Bench = async (log, { examples }) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const models = join(dir, 'models');
  const images = join(dir, 'images');
  try {
    await mkdir(models);
    await cp(join(MODELS, MODEL), join(models, MODEL), { recursive: true });
    await runTool(process.execPath, [UNSEAM, 'samples', '-o', dir, '-n', '1', '-s', `${WIDTH}x${HEIGHT}`]);
    const results: Record<string, unknown> = {};
    let violations = 0;
    let serverErrors = 0;
    let differences = 0;
    for (const access of ['open', 'token'] as const) {
      const data = join(dir, access);
      const made = access === 'open' ? null : await makeToken(data);
      const token = made?.token ?? null;
      const server = await BenchServer.start(data, ['--models', models, '--slides', images], {}, []);
      try {
        const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
        const environment = { UPLOAD: await createUpload(server.url, headers), TOKEN_ID: made?.id ?? '-' };
        const found = await testContract(server.url, headers, String(examples), environment, log);
        violations += found.violations;
        serverErrors += await countServerErrors(server.url, headers);
        results[access] = found;
        if (token === null) continue;
        const triton = await compareWithTriton(dir, images, server.url, token);
        results.triton = triton;
        differences = [triton.differentInJson, triton.differentInBinary, triton.differentByVersion]
          .flatMap((each) => Object.values(each))
          .reduce((sum, values) => sum + values, 0);
      } finally {
        await server.stop();
      }
    }
    const limits = { violations: 0, serverErrors: 0, differences: 0 };
    const holds = violations === 0 && serverErrors === 0 && differences === 0;
    return { ...results, violations, serverErrors, differences, limits, holds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

async function makeToken(data: string): Promise<{ readonly id: string; readonly token: string }> {
  const flags = ['--data', data, '--name', 'bench', '--scope', 'admin', '--json'];
  const { stdout } = await runTool(process.execPath, [UNSEAM, 'tokens', 'create', ...flags]);
  return JSON.parse(stdout) as { readonly id: string; readonly token: string };
}

/** The id of an upload, of which nothing was received. */
async function createUpload(url: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const upload = await fetch(`${url}/v1/uploads`, {
    method: 'POST',
    headers: { ...headers, 'Tus-Resumable': '1.0.0', 'Upload-Length': '100' },
  });
  return upload.headers.get('Location')!.split('/').at(-1)!;
}

/** All phases of schemathesis. */
async function testContract(
  url: string,
  headers: Readonly<Record<string, string>>,
  examples: string,
  env: Readonly<Record<string, string>>,
  log: (line: string) => void,
) {
  const flags = ['--max-examples', examples, '--workers', '2', '--request-timeout', '60', '--no-color'];
  const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const { stdout } = await runTool(join(VENV, 'st'), ['run', `${url}/openapi.json`, ...flags, ...given], {
    cwd: FOLDER,
    env,
    mayFail: true,
  });
  const summary = summaryOf(stdout);
  if (summary.violations > 0) log(stdout);
  return summary;
}

/** Responses of 500 and more, by what the server itself has counted. */
async function countServerErrors(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
  return [...metrics.matchAll(/^unseam_http_request_duration_seconds_count\{.*status="5\d\d".*\} (\d+)/gm)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0);
}

interface TritonResult {
  readonly differentInJson: Readonly<Record<string, number>>;
  readonly differentInBinary: Readonly<Record<string, number>>;
  readonly differentByVersion: Readonly<Record<string, number>>;
  readonly [figure: string]: unknown;
}

/** Segments an image with tritonclient, and by `unseam segment`. */
async function compareWithTriton(
  dir: string,
  images: string,
  url: string,
  token: string,
): Promise<TritonResult> {
  const image = join(images, 'shapes-0001.png');
  const [pixels, labels, probabilities] = ['pixels.raw', 'labels.raw', 'p.raw'].map((name) =>
    join(dir, name),
  ) as [string, string, string];
  await writeFile(pixels, await sharp(image).extractChannel(0).raw().toBuffer());
  const also = `probabilities=${probabilities}`;
  await runTool(process.execPath, [UNSEAM, 'segment', image, '-m', MODEL, '-o', labels, '--also', also]);
  const given = [url, token, MODEL, pixels, String(WIDTH), String(HEIGHT), labels, probabilities];
  const { stdout } = await runTool(join(VENV, 'python'), [join(FOLDER, 'triton.py'), ...given]);
  return JSON.parse(stdout) as TritonResult;
}
