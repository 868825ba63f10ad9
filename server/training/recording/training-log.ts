import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { issueOf } from '../../../model/shelf/schema-issue.js';
import { RequestError } from '../../contract/errors.js';

/** JSON writes null for NaN and infinities, such as the loss of a training that diverged. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const stepSchema = z.object({
  kind: z.literal('step'),
  /** The current epoch, counted from 0. */
  epoch: z.int(),
  /** Optimiser steps completed. */
  step: z.int(),
  loss: number,
  learningRate: number,
  pixelsPerSecond: number,
});

const epochSchema = z.object({
  kind: z.literal('epoch'),
  /** Epochs completed. */
  epoch: z.int(),
  /** Optimiser steps completed. */
  step: z.int(),
  loss: number,
  /** Missing in logs of older versions, as is `monitor`. */
  validationLoss: number.optional(),
  scores: z.record(z.string(), number),
  /** The score that selects the best network, and its value; null if it is not a number. */
  monitor: z.object({ score: z.string(), value: z.number().nullable() }).optional(),
  /** Whether this is the best network so far. */
  best: z.boolean(),
  seconds: number,
});

const lineSchema = z.discriminatedUnion('kind', [stepSchema, epochSchema]);

type StepLine = Readonly<z.infer<typeof stepSchema>>;
type EpochLine = Readonly<z.infer<typeof epochSchema>>;
export type LogLine = StepLine | EpochLine;

/** How far a log is continued: what it says of later steps and epochs is dropped, since they are repeated. */
export interface LogPosition {
  readonly step: number;
  readonly epoch: number;
}

/** `log.jsonl`: one line of JSON for each step and each epoch. */
export class TrainingLog {
  readonly #buffered: LogLine[] = [];

  private constructor(
    private readonly path: string,
    private readonly all: LogLine[],
  ) {}

  /** Starts an empty log. */
  static async create(path: string): Promise<TrainingLog> {
    await writeFile(path, '');
    return new TrainingLog(path, []);
  }

  /**
   * Continues a log up to a position; a missing one is started.
   * @throws RequestError `bad-data` for a line that is not of a training log
   */
  static async resume(path: string, position: LogPosition): Promise<TrainingLog> {
    const text = await readFile(path, 'utf8').catch(() => '');
    // behind the last newline may be a line that was being written when the training was killed
    const rows = text.split('\n').slice(0, -1);
    const lines = rows.map((row, i) => parseLine(row, `${path}, line ${i + 1}`));
    const isContinued = (line: LogLine) =>
      line.kind === 'step' ? line.step <= position.step : line.epoch <= position.epoch;
    const continued = rows.filter((_, i) => isContinued(lines[i]!));
    await writeFile(path, continued.map((row) => `${row}\n`).join(''));
    return new TrainingLog(path, lines.filter(isContinued));
  }

  get lines(): readonly LogLine[] {
    return this.all;
  }

  /** Adds a line, which `flush` writes. */
  add(line: LogLine): void {
    this.all.push(line);
    this.#buffered.push(line);
  }

  async flush(): Promise<void> {
    const lines = this.#buffered.splice(0);
    if (lines.length > 0)
      await appendFile(this.path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
}

function parseLine(text: string, where: string): LogLine {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new RequestError('bad-data', `${where} is not JSON`, { cause });
  }
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) throw new RequestError('bad-data', `${where} is invalid: ${issueOf(parsed.error)}`);
  return parsed.data;
}
