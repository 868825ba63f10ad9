import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { LoadOptions } from './scenarios/scenario.js';

const SCENARIO_NAMES = ['interactive', 'mixed', 'burst', 'soak'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** What the command line requests. */
export interface Options extends LoadOptions {
  readonly scenario: ScenarioName;
  /** A server that runs already; null to start one. */
  readonly url: string | null;
  readonly token: string | null;
  readonly model: string;
  readonly seed: number;
  /** The folder of the reports. */
  readonly out: string;
  readonly isJson: boolean;
  /** Whether the ratios become those of the baseline. */
  readonly savesBaseline: boolean;
  /** The ratios to compare with; null for no comparison. */
  readonly baseline: string | null;
}

/** The command line cannot be understood; the message says what would be right. */
export class UsageError extends Error {}

const BASELINE = new URL('../../loadtest/baseline.json', import.meta.url).pathname;

export const USAGE = `Usage: npm run loadtest -- SCENARIO [options]

Sends images and slides to a server, compares every mask, bit for bit, with that of one pass over the whole image,
and the server's counters with what was sent. Ends with 1 if anything differs or a limit is not met.

SCENARIO     interactive  images, one by one, at half the rate that the server can do
             mixed        the same, with slides behind them
             burst        four times as many requests at once as the server admits
             soak         mixed, for ten minutes: memory and files must not grow

--url URL            a server that runs already, with nothing else to do and --no-cache; by default one is started
--token-file FILE    its token (or UNSEAM_TOKEN)
--model NAME         the model (shapes)
--seconds N          how long requests arrive (40, 60, and 600 for soak; burst has three waves)
--rate N             images a second (a share of what the server was measured to do)
--connections N      the most images in flight; others wait, and their wait counts (32)
--seed N             of images and arrivals (1)
--out FOLDER         where SCENARIO.json and SCENARIO.html are written (out/loadtest)
--baseline FILE      the ratios to compare with (loadtest/baseline.json; none for a server at --url, or with "none")
--save-baseline      writes this run's ratios to that file
--json               prints the report as one line`;

/**
 * Parses the command line.
 * @param environment the variables of the process: `UNSEAM_TOKEN`
 * @returns null if help is requested
 * @throws UsageError
 */
export function parseOptions(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options | null {
  const { values, positionals } = parse(words);
  const [scenario, ...others] = positionals;
  if (values.help === true || (scenario === undefined && words.length === 0)) return null;
  if (!isScenario(scenario) || others.length > 0)
    throw new UsageError(`name one scenario: ${SCENARIO_NAMES.join(', ')}`);
  const url = values.url === undefined ? null : checkUrl(values.url);
  return {
    scenario,
    url,
    token: tokenOf(values['token-file'], environment.UNSEAM_TOKEN),
    model: values.model ?? 'shapes',
    seed: number('seed', values.seed ?? '1', true),
    seconds: values.seconds === undefined ? null : number('seconds', values.seconds),
    rate: values.rate === undefined ? null : number('rate', values.rate),
    connections: number('connections', values.connections ?? '32', true),
    out: values.out ?? 'out/loadtest',
    isJson: values.json === true,
    savesBaseline: values['save-baseline'] === true,
    baseline: baselineOf(values.baseline, url),
  };
}

function parse(words: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        url: text,
        'token-file': text,
        model: text,
        seconds: text,
        rate: text,
        connections: text,
        seed: text,
        out: text,
        baseline: text,
        'save-baseline': flag,
        json: flag,
        help: flag,
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const isScenario = (name: string | undefined): name is ScenarioName =>
  (SCENARIO_NAMES as readonly (string | undefined)[]).includes(name);

/** The figures of another machine's server are compared with the committed ones only if that is requested. */
function baselineOf(name: string | undefined, url: string | null): string | null {
  if (name === 'none') return null;
  return name ?? (url === null ? BASELINE : null);
}

function tokenOf(file: string | undefined, variable: string | undefined): string | null {
  if (file === undefined) return variable || null;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`--token-file cannot be read: ${(error as Error).message}`);
  }
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(`--url must be an address such as http://127.0.0.1:8080, not "${text}"`);
  return url.href.replace(/\/+$/, '');
}

function number(name: string, text: string, isWhole = false): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value) && (!isWhole || Number.isSafeInteger(value))) return value;
  throw new UsageError(`--${name} must be a positive ${isWhole ? 'integer' : 'number'}, not "${text}"`);
}
