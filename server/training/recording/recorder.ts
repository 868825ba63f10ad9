import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Card } from '../../../model/shelf/card.js';
import type { TrainEvent } from '../../../model/train/loop.js';
import type { Prediction } from '../evaluate.js';
import { scoreOf } from '../monitor.js';
import type { RunFacts } from '../run.js';
import { type RunConfig, runFolder } from '../run-config.js';
import { curvesSvg } from './curves.js';
import { PredictionSheets } from './prediction-sheets.js';
import { reportHtml } from './report.js';
import { EventFile } from './tensorboard.js';
import { TrainingLog } from './training-log.js';

/** Writes a version's `training/` folder: log, TensorBoard events, and at the end curves, sheets and a report. */
export class Recorder {
  readonly #sheets: PredictionSheets;

  private constructor(
    private readonly config: RunConfig,
    private readonly facts: RunFacts,
    private readonly folder: string,
    private readonly log: TrainingLog,
    private readonly events: EventFile,
  ) {
    this.#sheets = new PredictionSheets(config.classes);
  }

  /**
   * Starts the files, or continues those of a resumed training from where it stands.
   * @param folder the version's folder
   */
  static async create(
    config: RunConfig,
    facts: RunFacts,
    folder: string,
    resume: boolean,
  ): Promise<Recorder> {
    const { training, log: path } = runFolder(folder);
    await mkdir(training, { recursive: true });
    const { epoch, step } = facts.from;
    const done = epoch * facts.epochSteps + step;
    const log = resume
      ? await TrainingLog.resume(path, { step: done, epoch })
      : await TrainingLog.create(path);
    return new Recorder(config, facts, training, log, new EventFile(training, done));
  }

  async event(event: TrainEvent): Promise<void> {
    const { epochSteps, monitor: score } = this.facts;
    if (event.type === 'step') {
      const { epoch, loss, learningRate, pixels, durationMs } = event;
      const step = epoch * epochSteps + event.step + 1;
      const pixelsPerSecond = Math.round((1000 * pixels) / durationMs);
      this.log.add({ kind: 'step', epoch, step, loss, learningRate, pixelsPerSecond });
      this.events.scalars(step, {
        'loss/step': loss,
        'learning rate': learningRate,
        'pixels a second': pixelsPerSecond,
      });
      return;
    }
    if (event.type === 'epoch') {
      const { epoch, loss, validation, best, seconds } = event;
      const { scores, loss: validationLoss, error } = validation;
      const step = epoch * epochSteps;
      const monitor = { score, value: scoreOf(score, error) };
      this.log.add({ kind: 'epoch', epoch, step, loss, validationLoss, scores, monitor, best, seconds });
      const named = Object.entries(scores).map(([name, value]) => [`validation/${name}`, value] as const);
      const losses = { 'loss/epoch': loss, 'loss/validation': validationLoss };
      this.events.scalars(step, { ...losses, ...Object.fromEntries(named) });
    }
    await this.log.flush();
  }

  prediction(part: 'validation' | 'test', prediction: Prediction): Promise<void> {
    return this.#sheets.add(part, prediction);
  }

  /** Writes curves, sheets and the report of a training that has ended. */
  async report(card: Card): Promise<void> {
    const { monitor } = this.facts;
    const curves = curvesSvg(this.log.lines, monitor);
    await writeFile(join(this.folder, 'curves.svg'), curves);
    const sheets = await this.#sheets.write(this.folder);
    for (const { title, png, width, height } of sheets) {
      const tag = `${title}: image, labels, prediction, error`;
      this.events.image(card.training.steps, tag, png, width, height);
    }
    const config = { ...this.config, settings: { ...this.config.settings, monitor } };
    await writeFile(join(this.folder, 'report.html'), reportHtml({ card, config, curves, sheets }));
  }

  async close(): Promise<void> {
    await this.log.flush();
    this.events.close();
  }
}
