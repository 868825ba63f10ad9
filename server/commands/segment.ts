import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, parse, resolve } from 'node:path';
import type { Command } from 'commander';
import { isZarr } from '../../tiling/sources/zarr/zarr.js';
import { RequestError } from '../contract/errors.js';
import {
  FORMATS,
  type Format,
  formatOfFile,
  formatsOf,
  OUTPUTS,
  type Output,
  parseOutput,
} from '../contract/outputs.js';
import { parseParameters, simplifyShape, workOfFlags } from '../contract/parameters.js';
import { messageForUser, problemOf } from '../contract/problems.js';
import type { Receipt } from '../contract/receipt.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type MemoryFlags,
  memoryOption,
  type ScratchFlags,
  scratchOption,
  workOptions,
} from '../terminal/options.js';
import { ProgressBar } from '../terminal/progress.js';
import { withSegmenter } from './with-segmenter.js';

interface SegmentFlags extends EngineFlags, MemoryFlags, ScratchFlags {
  readonly out: string;
  readonly output: string;
  readonly also: readonly string[];
  readonly simplify: string;
  readonly json?: boolean;
}

interface Task {
  readonly input: string;
  readonly result: string;
  readonly format: Format;
}

export function segmentCommand(program: Command, context: CommandContext): void {
  workOptions(engineOptions(program.command('segment')))
    .addOption(memoryOption())
    .addOption(scratchOption())
    .description('segment images: one, several, or a folder of them')
    .argument('<images...>', 'image files or folders')
    .requiredOption(
      '-o, --out <path>',
      'result file, whose ending says the format; a folder for several images',
    )
    .option('--output <kind>', `one of ${OUTPUTS.join(', ')}`, 'labels')
    .option(
      '--also <output=file>',
      'another result of the same image, such as geojson=cells.geojson; may be repeated',
      (text: string, before: string[]) => [...before, text],
      [] as string[],
    )
    .option('--simplify <px>', 'how far contours in GeoJSON may be from the pixels', '0')
    .option('--json', 'print a receipt, one line of JSON an image')
    .action(async (images: string[], flags: SegmentFlags) => {
      const output = parseOutput(flags.output);
      const work = workOfFlags(flags);
      const simplify = parseParameters(simplifyShape, flags.simplify);
      const also = flags.also.map((text) => ({ ...alsoOf(text), simplify }));
      const tasks = await tasksOf(images, flags.out, output);
      refuseOverwriting(tasks, also);
      if (also.length > 0 && tasks.length > 1) {
        throw new RequestError('bad-request', 'with several images, each result needs a run of its own');
      }
      const failures = await withSegmenter(flags, async (segmenter, scratchDir) => {
        const codes: string[] = [];
        for (const [i, task] of tasks.entries()) {
          context.signal.throwIfAborted();
          const bar = new ProgressBar(
            `${parse(task.input).base} {bar} {value}/{total} tiles, {speed} Mpx/s, {eta_formatted} left`,
          );
          const started = performance.now();
          try {
            const receipt = await segmenter.run({
              ...work,
              id: `${i}`,
              priority: 'normal',
              input: task.input,
              results: [{ output, format: task.format, path: task.result, simplify }, ...also],
              journal: null,
              scratchDir,
              signal: context.signal,
              onProgress: ({ tilesDone, tiles, pixelsDone }) => {
                const speed = (pixelsDone / (performance.now() - started) / 1000).toFixed(2);
                bar.update(tilesDone, tiles, { speed });
              },
            });
            bar.stop();
            report(context, flags.json === true, task, receipt);
          } catch (error) {
            bar.stop();
            if (context.signal.aborted || tasks.length === 1) throw error;
            const { code, message } = messageForUser(error);
            codes.push(code);
            context.stderr(message.startsWith(task.input) ? message : `${task.input}: ${message}`);
          }
        }
        return codes;
      });
      if (tasks.length > 1) {
        context.stderr(`${tasks.length - failures.length} of ${tasks.length} images segmented`);
      }
      if (failures.length > 0) process.exitCode = problemOf(failures[0]!).exitCode;
    });
}

function report(context: CommandContext, json: boolean, task: Task, receipt: Receipt): void {
  if (json) {
    context.stdout(JSON.stringify({ input: task.input, result: task.result, ...receipt }));
    return;
  }
  const { image, plan, durationMs, exact } = receipt;
  const speed = ((image.width * image.height) / durationMs / 1000).toFixed(2);
  context.stderr(
    `${task.result}: ${image.width}×${image.height} px, ${plan.tiles} tiles of ${plan.tile}, ` +
      `${(durationMs / 1000).toFixed(1)} s, ${speed} Mpx/s${exact ? ', exact' : ''}`,
  );
  for (const warning of receipt.warnings) context.stderr(`  note: ${warning}`);
}

/** Reads `OUTPUT=FILE`, whose ending says the format. */
function alsoOf(text: string): { output: Output; format: Format; path: string } {
  const [, name, path] = /^(\w+)=(.+)$/.exec(text) ?? [];
  if (!name || !path) throw new RequestError('bad-request', `"${text}" is not OUTPUT=FILE`);
  return { output: parseOutput(name), format: formatOfFile(path), path };
}

/** One image goes to the file named; several, or a folder, go into a folder under their own names. */
async function tasksOf(images: readonly string[], out: string, output: Output): Promise<Task[]> {
  const folderNamed = (await isFolder(out)) || parse(out).ext === '';
  const [only] = images;
  if (images.length === 1 && !(await holdsImages(only!)) && !folderNamed) {
    return [{ input: only!, result: out, format: formatOfFile(out) }];
  }
  if (!folderNamed)
    throw new RequestError('bad-request', `"${out}" is one file; several images need a folder`);
  await mkdir(out, { recursive: true });
  const inputs: string[] = [];
  for (const image of images) {
    if (!(await holdsImages(image))) inputs.push(image);
    else inputs.push(...(await filesOf(image)));
  }
  const format = formatsOf(output)[0];
  const tasks = inputs.map((input) => ({
    input,
    result: join(out, `${parse(input).name}${FORMATS[format].ending}`),
    format,
  }));
  const seen = new Map<string, string>();
  for (const { input, result } of tasks) {
    const other = seen.get(result);
    if (other !== undefined)
      throw new RequestError('bad-request', `${other} and ${input} would both become ${result}`);
    seen.set(result, input);
  }
  if (tasks.length === 0)
    throw new RequestError('bad-request', `there are no images in ${images.join(', ')}`);
  return tasks;
}

/** @throws RequestError where a result would take the place of an image, or of another result */
function refuseOverwriting(tasks: readonly Task[], also: readonly { readonly path: string }[]): void {
  const taken = new Map(tasks.map(({ input }) => [resolve(input), 'the image itself']));
  for (const path of [...tasks.map(({ result }) => result), ...also.map((result) => result.path)]) {
    const what = taken.get(resolve(path));
    if (what) throw new RequestError('bad-request', `${path} is ${what}: give the result another name`);
    taken.set(resolve(path), 'another result');
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ?? false;
}

/** Whether a path is a folder of images, and not an image that is a folder. */
async function holdsImages(path: string): Promise<boolean> {
  return (await isFolder(path)) && !(await isZarr(path));
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  return files.map(({ name }) => join(folder, name)).sort();
}
