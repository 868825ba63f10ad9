import { readFile } from 'node:fs/promises';
import { parse } from 'node:path';
import type { Command } from 'commander';
import { isLossOfDevice } from '../../model/errors.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { isStack } from '../../tiling/planes.js';
import { RequestError } from '../contract/errors.js';
import type { WorkSpec } from '../contract/job-spec.js';
import { formatOfFile, namesFolder, OUTPUTS, parseOutput, type ResultFile } from '../contract/outputs.js';
import { parseParameters, simplifyShape, workOfFlags } from '../contract/parameters.js';
import { messageForUser, problemOf } from '../contract/problems.js';
import { exactnessText, pixelsOf, type Receipt } from '../contract/receipt.js';
import { statisticsInReceipt } from '../contract/statistics.js';
import {
  type BatchFlags,
  batchOption,
  type CacheFlags,
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ImageFlags,
  imageOptions,
  type MemoryFlags,
  memoryOption,
  type ScratchFlags,
  scratchOption,
  tileCacheOption,
  workOptions,
} from '../terminal/options.js';
import { ProgressBar } from '../terminal/progress.js';
import { checkOverwriting, type Task, tasksInto, tasksOf } from './segment-tasks.js';
import { withSegmenter } from './with-segmenter.js';

interface SegmentFlags extends EngineFlags, ImageFlags, MemoryFlags, BatchFlags, CacheFlags, ScratchFlags {
  readonly out?: string;
  readonly intoSource?: string | true;
  readonly output: string;
  readonly also: readonly string[];
  readonly simplify: string;
  readonly stats?: string;
  readonly statsFrom?: string;
  readonly json?: boolean;
}

/** `unseam segment`: segments files without a server. */
export function segmentCommand(program: Command, context: CommandContext): void {
  workOptions(imageOptions(engineOptions(program.command('segment'))))
    .addOption(memoryOption())
    .addOption(tileCacheOption())
    .option('--no-cache', 'compute every tile, whatever was computed before')
    .addOption(scratchOption())
    .addOption(batchOption())
    .description('segment images: one, several, or a folder of them')
    .argument('<images...>', 'image files or folders')
    .option(
      '-o, --out <path>',
      'result file, whose extension selects the format; a folder for several images',
    )
    .option(
      '--into-source [name]',
      'write labels into the images, which are OME-Zarrs in folders, as labels/NAME; by default that of the model',
    )
    .option('--output <kind>', `one of ${OUTPUTS.join(', ')}`, 'labels')
    .option(
      '--also <output=file>',
      'another result of the same image, such as geojson=cells.geojson; repeatable',
      (text: string, before: string[]) => [...before, text],
      [] as string[],
    )
    .option('--simplify <px>', 'tolerance of contours in GeoJSON, in px, from 0 to 1000', '0')
    .option('--stats-from <receipt>', 'take the statistics of an earlier receipt, such as --json printed it')
    .option('--json', 'print one receipt per image, as a line of JSON')
    .action(async (images: string[], flags: SegmentFlags) => {
      const request = await requestOf(flags);
      const tasks = await requestedTasks(images, request, flags);
      const codes = await segmentAll(tasks, request, flags, context);
      if (tasks.length > 1) {
        context.stderr(`${tasks.length - codes.length} of ${tasks.length} images segmented`);
      }
      const [first] = codes;
      if (first !== undefined) process.exitCode = problemOf(first).exitCode;
    });
}

/** What the flags request of every image. */
async function requestOf(flags: SegmentFlags) {
  const output = parseOutput(flags.output);
  const work = { ...workOfFlags(flags), ...(await statisticsOf(flags)) };
  const simplify = parseParameters(simplifyShape, flags.simplify);
  const also = flags.also.map((text) => ({ ...alsoOf(text), simplify }));
  const { out, intoSource } = flags;
  if ((out === undefined) === (intoSource === undefined)) {
    throw new RequestError(
      'bad-request',
      'the result is named by -o, --out or by --into-source: by one of them',
    );
  }
  if (intoSource !== undefined && output !== 'labels') {
    throw new RequestError('bad-request', `--into-source writes labels, not ${output}`);
  }
  return { output, work, simplify, also };
}

/** The images with their results. With `--into-source`, labels have the name of the model unless another is given. */
async function requestedTasks(
  images: readonly string[],
  { output, work }: Awaited<ReturnType<typeof requestOf>>,
  { out, intoSource, models }: SegmentFlags,
): Promise<Task[]> {
  if (out !== undefined) return tasksOf(images, out, output, isStack(work.choice));
  const isNamed = typeof intoSource === 'string';
  const name = isNamed ? intoSource : (await new ModelShelf(models).find(work.model)).name;
  return tasksInto(images, name, work.choice);
}

/**
 * Segments images one after the other. An image that fails does not stop the others.
 * @returns the codes of those that failed
 * @throws what a single image failed with
 */
async function segmentAll(
  tasks: readonly Task[],
  { output, work, simplify, also }: Awaited<ReturnType<typeof requestOf>>,
  flags: SegmentFlags,
  context: CommandContext,
): Promise<string[]> {
  checkOverwriting(tasks, also);
  if (also.length > 0 && tasks.length > 1) {
    throw new RequestError('bad-request', 'with several images, each result needs a run of its own');
  }
  const codes: string[] = [];
  let next = 0;
  await withSegmenter(flags, context.stderr, async (segmenter, scratchDir) => {
    for (; next < tasks.length; next++) {
      context.signal.throwIfAborted();
      const { input, format, result: path, intoSource = null } = tasks[next]!;
      const bar = new ProgressBar(`${parse(input).base} {bar} {value}/{total} tiles, {speed} Mpx/s{left}`);
      const counting = new ProgressBar(`${parse(input).base} statistics {bar} {percentage} %{left}`);
      const started = performance.now();
      try {
        const receipt = await segmenter.run({
          ...work,
          id: `${next}`,
          priority: 'normal',
          input,
          results: [{ output, format, path, simplify, isFolder: namesFolder(path), intoSource }, ...also],
          journal: null,
          scratchDir,
          signal: context.signal,
          onWait: (reason) => {
            bar.stop();
            context.stderr(reason);
          },
          onProgress: ({ tilesDone, tiles, pixelsDone, statistics }) => {
            if (statistics) return counting.update(statistics.pixelsDone, statistics.pixels);
            counting.stop();
            const speed = (pixelsDone / (performance.now() - started) / 1000).toFixed(2);
            bar.update(tilesDone, tiles, { speed });
          },
        });
        bar.stop();
        report(context, flags.json === true, tasks[next]!, receipt);
      } catch (error) {
        counting.stop();
        bar.stop();
        const isLost = segmenter.host.isAutoGpu && isLossOfDevice(error); // the CPU goes on with this image
        if (context.signal.aborted || tasks.length === 1 || isLost) throw error;
        const { code, message } = messageForUser(error);
        codes.push(code);
        context.stderr(message.startsWith(input) ? message : `${input}: ${message}`);
      }
    }
  });
  return codes;
}

function report(context: CommandContext, json: boolean, task: Task, receipt: Receipt): void {
  if (json) {
    context.stdout(JSON.stringify({ input: task.input, result: task.result, ...receipt }));
    return;
  }
  const { image, plan, durationMs } = receipt;
  const { stack } = image;
  const planes = stack ? ` in ${stack.sizeZ * stack.sizeT} planes` : '';
  const speed = (pixelsOf(image) / durationMs / 1000).toFixed(2);
  context.stderr(
    `${task.result}: ${image.width}×${image.height} px${planes}, ${plan.tiles} ${plan.tiles === 1 ? 'tile' : 'tiles'} of ${plan.tile}, ` +
      `${(durationMs / 1000).toFixed(1)} s, ${speed} Mpx/s${exactnessText(receipt)}`,
  );
  for (const warning of receipt.warnings) context.stderr(`  note: ${warning}`);
}

/**
 * The statistics of the receipt that `--stats-from` names.
 * @throws RequestError for a file that has none, or where `--stats` is given, too
 */
async function statisticsOf({ stats, statsFrom: path }: SegmentFlags): Promise<Pick<WorkSpec, 'statistics'>> {
  if (path === undefined) return {};
  if (stats !== undefined)
    throw new RequestError('bad-request', '--stats-from gives the statistics: leave --stats out');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new RequestError('not-found', `--stats-from: ${path} cannot be read`, { cause });
  });
  const statistics = statisticsInReceipt(text);
  if (statistics) return { statistics };
  throw new RequestError('bad-request', `--stats-from: ${path} is no receipt with statistics of an image`);
}

/** Parses `OUTPUT=FILE`; the file's ending selects the format. */
function alsoOf(text: string): Omit<ResultFile, 'simplify'> {
  const [, name, path] = /^(\w+)=(.+)$/.exec(text) ?? [];
  if (!name || !path) throw new RequestError('bad-request', `"${text}" is not OUTPUT=FILE`);
  return { output: parseOutput(name), format: formatOfFile(path), path, isFolder: namesFolder(path) };
}
