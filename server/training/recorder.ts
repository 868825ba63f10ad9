import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Card } from '../../model/card.js';
import type { TrainEvent } from '../../model/train/loop.js';
import type { CommandContext } from '../terminal/options.js';
import { duration, ProgressBar, ProgressBars } from '../terminal/progress.js';
import { type Chart, chartsSvg } from './charts.js';
import { type Prediction, scoreWords } from './evaluate.js';
import { miniatureOf } from './miniature.js';
import { type Monitor, scoreOf } from './monitor.js';
import { reportHtml } from './report.js';
import type { RunFacts } from './run.js';
import { type RunConfig, runFolder } from './run-config.js';
import { type Picture, paint, paintLabels, paintPixels, sheetOf, writePicture } from './sheets.js';
import { EventFile } from './tensorboard.js';

/** One line of `log.jsonl`. */
type LogLine =
  | {
      readonly kind: 'step';
      readonly epoch: number;
      readonly step: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly pixelsPerSecond: number;
    }
  | {
      readonly kind: 'epoch';
      readonly epoch: number;
      readonly step: number;
      readonly loss: number;
      /** Not in logs that older versions began. */
      readonly validationLoss?: number;
      readonly scores: Readonly<Record<string, number>>;
      /** By what the best network is chosen, and its value; null for what is no number. */
      readonly monitor?: { readonly score: string; readonly value: number | null };
      readonly best: boolean;
      readonly seconds: number;
    };

/** What makes bytes of values as they are stored, or in [0, 1]. */
const TO_BYTES = { uint8: 1, uint16: 1 / 257, float32: 255 } as const;
/** Pictures in a sheet of predictions, at most. */
const SHEET_ROWS = 6;

/**
 * What a person sees of a training: bars and lines on the terminal, and in the model's `training/` a log,
 * TensorBoard events, curves, sheets and a report.
 */
export class Recorder {
  readonly #files: ReturnType<typeof runFolder>;
  readonly #bars = new ProgressBars(
    'epochs {bar} {value}/{total}, {validation} in validation, {left} left',
    'steps  {bar} {value}/{total}, loss {loss}, {speed} Mpx/s',
  );
  readonly #maps = new ProgressBar('weight maps {bar} {value}/{total}, {eta_formatted} left');
  readonly #lines: LogLine[] = [];
  readonly #unwritten: LogLine[] = [];
  readonly #sheets: Record<'validation' | 'test', Picture[][]> = { validation: [], test: [] };
  #events: EventFile | null = null;
  #epochSteps = 1;
  #monitor: Monitor = 'pixelError';
  #recent: number | null = null;
  #validation = '-';
  #msPerStep: number | null = null;

  constructor(
    private readonly context: CommandContext,
    private readonly config: RunConfig,
    folder: string,
  ) {
    this.#files = runFolder(folder);
  }

  /** A weight map of the training's images is there. */
  map(done: number, all: number): void {
    this.#maps.update(done, all);
    if (done === all) this.#maps.stop();
  }

  /** Begins the files, or goes on with those of the training that is resumed, from where it is. */
  async start({ parameters, epochSteps, from, monitor }: RunFacts, resume: boolean): Promise<void> {
    const { epochs, batch, accumulate } = this.config.settings;
    this.#epochSteps = epochSteps;
    this.#monitor = monitor;
    await mkdir(this.#files.training, { recursive: true });
    const done = from.epoch * epochSteps + from.step;
    if (resume) {
      const text = await readFile(this.#files.log, 'utf8').catch(() => '');
      // the last line may be half written; what came after the checkpoint is done again
      const complete = text.split('\n').slice(0, -1);
      for (const text of complete) {
        const line = JSON.parse(text) as LogLine;
        if (line.kind === 'step' ? line.step <= done : line.epoch <= from.epoch) this.#lines.push(line);
      }
      const where = `after ${from.epoch} epochs and ${from.step} steps`;
      this.context.stderr(done === 0 ? 'no step had been saved: it starts over' : `resumed ${where}`);
    }
    await writeFile(this.#files.log, this.#lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    this.#events = new EventFile(this.#files.training, done);
    const effective = accumulate === 1 ? `${batch}` : `${batch}, ${batch * accumulate} with accumulation`;
    this.context.stderr(
      `${parameters} parameters; ${epochs} epochs of ${epochSteps} steps, batch ${effective}; ` +
        `the best network is chosen by ${monitor}`,
    );
  }

  async event(event: TrainEvent): Promise<void> {
    const { epochs } = this.config.settings;
    if (event.type === 'step') {
      const { epoch, loss, learningRate, pixels, durationMs } = event;
      const step = epoch * this.#epochSteps + event.step + 1;
      const pixelsPerSecond = Math.round((1000 * pixels) / durationMs);
      this.#keep({ kind: 'step', epoch, step, loss, learningRate, pixelsPerSecond });
      this.#events?.scalars(step, {
        'loss/step': loss,
        'learning rate': learningRate,
        'pixels a second': pixelsPerSecond,
      });
      this.#recent = this.#recent === null ? loss : 0.95 * this.#recent + 0.05 * loss;
      this.#msPerStep = this.#msPerStep === null ? durationMs : 0.95 * this.#msPerStep + 0.05 * durationMs;
      const left = (epochs * this.#epochSteps - step) * this.#msPerStep;
      const speed = (pixelsPerSecond / 1e6).toFixed(2);
      this.#bars.update(
        [epoch, epochs, { validation: this.#validation, left: duration(left / 1000) }],
        [event.step + 1, this.#epochSteps, { loss: this.#recent.toFixed(4), speed }],
      );
      return;
    }
    this.#bars.stop();
    if (event.type === 'epoch') {
      const { epoch, loss, validation, best, seconds } = event;
      const step = epoch * this.#epochSteps;
      const { scores, loss: validationLoss } = validation;
      const value = scoreOf(this.#monitor, validation.error);
      const monitor = { score: this.#monitor, value };
      this.#keep({ kind: 'epoch', epoch, step, loss, validationLoss, scores, monitor, best, seconds });
      const named = Object.entries(scores).map(([name, score]) => [`validation/${name}`, score] as const);
      const losses = { 'loss/epoch': loss, 'loss/validation': validationLoss };
      this.#events?.scalars(step, { ...losses, ...Object.fromEntries(named) });
      this.#validation = `${this.#monitor} ${value?.toFixed(4) ?? 'no number'}`;
      const words = `loss ${loss.toFixed(4)}, in validation ${validationLoss.toFixed(4)}, ${scoreWords(scores)}`;
      this.context.stderr(`epoch ${epoch}/${epochs}: ${words}, ${duration(seconds)}${best ? ', kept' : ''}`);
    } else if (event.why === 'patience') {
      this.context.stderr(`no better network for ${this.config.settings.patience} epochs: that is enough`);
    }
    await this.#flush();
  }

  async prediction(part: 'validation' | 'test', { pair, truth, labels }: Prediction): Promise<void> {
    const rows = this.#sheets[part];
    if (rows.length >= SHEET_ROWS) return;
    const { classes } = this.config;
    const image = await miniatureOf(pair.image);
    const { width, height } = truth;
    const wrong = paint(width, height, (at) => {
      if (truth.data[at]! >= classes.length) return [128, 128, 128];
      return truth.data[at] === labels.data[at] ? [240, 240, 240] : [200, 0, 30];
    });
    rows.push([
      paintPixels(image.data, image, TO_BYTES[pair.image.facts.dtype]),
      paintLabels(truth.data, width, height, classes),
      paintLabels(labels.data, width, height, classes),
      wrong,
    ]);
  }

  /** Writes curves, sheets and the report of a training that has ended. */
  async report(card: Card): Promise<void> {
    const { training } = this.#files;
    const curves = chartsSvg(this.#charts(), 2);
    await writeFile(join(training, 'curves.svg'), curves);
    const sheets: { title: string; png: Buffer }[] = [];
    for (const [part, rows] of Object.entries(this.#sheets)) {
      if (rows.length === 0) continue;
      const path = join(training, `${part}.png`);
      const sheet = sheetOf(rows);
      await writePicture(path, sheet);
      const png = await readFile(path);
      this.#events?.image(
        card.training.steps,
        `${part}: image, labels, prediction, error`,
        png,
        sheet.width,
        sheet.height,
      );
      sheets.push({ title: part, png });
    }
    const settings = { ...this.config.settings, monitor: this.#monitor };
    const config = { ...this.config, settings };
    await writeFile(join(training, 'report.html'), reportHtml({ card, config, curves, sheets }));
  }

  async close(): Promise<void> {
    this.#maps.stop();
    this.#bars.stop();
    await this.#flush();
    this.#events?.close();
    this.#events = null;
  }

  #keep(line: LogLine): void {
    this.#lines.push(line);
    this.#unwritten.push(line);
  }

  async #flush(): Promise<void> {
    const lines = this.#unwritten.splice(0);
    if (lines.length > 0)
      await appendFile(this.#files.log, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  #charts(): Chart[] {
    const steps = this.#lines.filter((line) => line.kind === 'step');
    const epochs = this.#lines.filter((line) => line.kind === 'epoch');
    const xLabel = 'steps';
    const score = (name: string): [number, number][] =>
      epochs.map(({ step, scores }) => [step, scores[name]!]);
    const vRand =
      this.#monitor === 'vRand' ? [{ name: 'V_Rand', colour: '#636363', points: score('vRandBestOf9') }] : [];
    return [
      {
        ...{ title: 'Loss', xLabel, cutAbove: 8 },
        series: [
          {
            name: 'step',
            colour: '#3182bd',
            faint: true,
            points: steps.map(({ step, loss }) => [step, loss]),
          },
          { name: 'epoch', colour: '#08519c', points: epochs.map(({ step, loss }) => [step, loss]) },
          {
            name: 'validation',
            colour: '#e6550d',
            points: epochs.map(({ step, validationLoss }) => [step, validationLoss ?? Number.NaN]),
          },
        ],
      },
      {
        ...{ title: 'Pixel error in validation', xLabel },
        series: [{ name: 'pixel error', colour: '#e6550d', points: score('pixelError') }],
      },
      {
        ...{ title: 'Overlap in validation, mean over classes', xLabel },
        series: [
          { name: 'IoU', colour: '#31a354', points: score('meanIou') },
          { name: 'Dice', colour: '#756bb1', points: score('meanDice') },
          ...vRand,
        ],
      },
      {
        ...{ title: 'Learning rate', xLabel },
        series: [
          {
            name: 'rate',
            colour: '#636363',
            points: steps.map(({ step, learningRate }) => [step, learningRate]),
          },
        ],
      },
    ];
  }
}
