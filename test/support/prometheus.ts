import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';

/** Whether a command is installed. */
export const isInstalled = (command: string): boolean => spawnSync(command, ['--version']).status === 0;

/** A number with its labels, as Prometheus has it now. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface AlertRule {
  readonly type: 'alerting' | 'recording';
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

/** A Prometheus that scrapes one server, with the configuration and the rules of `ops/`. */
export class Prometheus {
  private constructor(
    readonly url: string,
    private readonly end: () => Promise<void>,
  ) {}

  /**
   * @param target the address of a server
   * @param token of the scope `read`
   */
  static async start(folder: string, target: string, token: string): Promise<Prometheus> {
    const config = join(folder, 'prometheus.yml');
    const shipped = await readFile('ops/prometheus/prometheus.yml', 'utf8');
    const changed = shipped
      .replace('- alerts.yml', `- ${resolve('ops/prometheus/alerts.yml')}`)
      .replace('unseam:8080', new URL(target).host)
      .replaceAll('_interval: 15s', '_interval: 250ms');
    await writeFile(config, changed);
    await writeFile(join(folder, 'unseam-token'), token);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = spawn(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--enable-feature=exemplar-storage',
        '--log.level=warn',
      ],
      { stdio: 'inherit' },
    );
    const exited = once(child, 'exit');
    const prometheus = new Prometheus(url, async () => {
      child.kill('SIGKILL');
      await exited;
    });
    while (!(await fetch(`${url}/-/ready`).catch(() => null))?.ok) {
      if (child.exitCode !== null) throw new Error('prometheus has ended');
      await new Promise((done) => setTimeout(done, 50));
    }
    return prometheus;
  }

  /** Evaluates a query now. */
  async query(query: string): Promise<readonly Sample[]> {
    type Vector = { readonly metric: Sample['metric']; readonly value: readonly [number, string] };
    const { result } = (await this.#get('query', { query })) as { readonly result: readonly Vector[] };
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** The rules, with what they have last evaluated to. */
  async rules(): Promise<readonly AlertRule[]> {
    type Groups = { readonly groups: readonly { readonly rules: readonly AlertRule[] }[] };
    return ((await this.#get('rules', {})) as Groups).groups.flatMap(({ rules }) => rules);
  }

  /** The labels of the exemplars of a metric in the last hour. */
  async exemplars(query: string): Promise<readonly Readonly<Record<string, string>>[]> {
    type Series = { readonly exemplars: readonly { readonly labels: Record<string, string> }[] };
    const now = Date.now() / 1000;
    const range = { start: String(now - 3600), end: String(now + 60) };
    const series = (await this.#get('query_exemplars', { query, ...range })) as readonly Series[];
    return series.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels));
  }

  close(): Promise<void> {
    return this.end();
  }

  async #get(path: string, parameters: Record<string, string>): Promise<unknown> {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { data, error } = (await response.json()) as { readonly data: unknown; readonly error?: string };
    if (error !== undefined) throw new Error(`${parameters.query}: ${error}`);
    return data;
  }
}

/** A port that nothing listens on now: Prometheus does not say which one it takes. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
