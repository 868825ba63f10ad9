import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Baseline, baselineSchema } from './judge.js';
import { type Options, parseOptions, USAGE, UsageError } from './options.js';
import { reportText } from './report/console.js';
import { reportPage } from './report/page.js';
import type { Report } from './report/report.js';
import { runScenario } from './run.js';

/** `npm run loadtest -- SCENARIO`: see `USAGE`. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), process.env);
  if (options === null) {
    console.log(USAGE);
    return;
  }
  const baseline = await readBaseline(options);
  const report = await runScenario(options, options.savesBaseline ? null : baseline, (line) =>
    console.error(line),
  );
  await mkdir(options.out, { recursive: true });
  const page = join(options.out, `${options.scenario}.html`);
  await writeFile(join(options.out, `${options.scenario}.json`), JSON.stringify(report, null, 2));
  await writeFile(page, reportPage(report));
  if (options.savesBaseline) await saveBaseline(options, baseline, report);
  console.log(options.isJson ? JSON.stringify(report) : reportText(report));
  console.error(`report: ${page}`);
  process.exitCode = report.holds ? 0 : 1;
}

/** @throws UsageError if the file of the baseline cannot be read; null where none is to be compared with */
async function readBaseline({ baseline, savesBaseline }: Options): Promise<Baseline | null> {
  if (baseline === null) return null;
  const text = await readFile(baseline, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (savesBaseline && error.code === 'ENOENT') return '{}';
    throw new UsageError(`the baseline cannot be read: ${error.message}`);
  });
  const parsed = baselineSchema.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new UsageError(`${baseline} holds no ratios by scenario: ${parsed.error.message}`);
  return parsed.data;
}

async function saveBaseline(
  { baseline, scenario }: Options,
  before: Baseline | null,
  { ratios }: Report,
): Promise<void> {
  if (baseline === null) throw new UsageError('--save-baseline needs a --baseline FILE to write to');
  await writeFile(baseline, `${JSON.stringify({ ...before, [scenario]: ratios }, null, 2)}\n`);
}

// The server that was started ends with this process.
process.once('SIGTERM', () => process.exit(143));
try {
  await main();
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
