import type { TrainEvent } from '../../../model/train/loop.js';
import type { CommandContext } from '../../terminal/options.js';
import { duration, ProgressBars } from '../../terminal/progress.js';
import { formatScores } from '../evaluation.js';
import { scoreOf } from '../monitor.js';
import type { RunFacts } from '../run.js';
import type { RunConfig } from '../run-config.js';

type StepEvent = Extract<TrainEvent, { type: 'step' }>;
type EpochEvent = Extract<TrainEvent, { type: 'epoch' }>;

/** The weight of the latest step in the moving averages that are shown. */
const LATEST = 0.05;

/** Shows a running training on the terminal: progress bars, and a line for each epoch. */
export class TrainingConsole {
  readonly #bars = new ProgressBars(
    'epochs {bar} {value}/{total}, {validation} in validation, {remaining} remaining',
    'steps  {bar} {value}/{total}, loss {loss}, {speed} Mpx/s',
  );
  #loss: number | null = null;
  #msPerStep: number | null = null;
  #validation = '-';

  constructor(
    private readonly context: CommandContext,
    private readonly config: RunConfig,
    private readonly facts: RunFacts,
  ) {}

  /** Prints what is known before the first step. */
  start(resume: boolean): void {
    const { parameters, epochSteps, from, monitor } = this.facts;
    const { epochs, batch, accumulate } = this.config.settings;
    if (resume) {
      const isAtStart = from.epoch === 0 && from.step === 0;
      this.context.stderr(
        isAtStart
          ? 'no checkpoint yet: starting over'
          : `resumed after ${from.epoch} epochs and ${from.step} steps`,
      );
    }
    const effective = accumulate === 1 ? `${batch}` : `${batch}, ${batch * accumulate} with accumulation`;
    this.context.stderr(
      `${parameters} parameters; ${epochs} epochs of ${epochSteps} steps, batch ${effective}; ` +
        `the best network is selected by ${monitor}`,
    );
  }

  event(event: TrainEvent): void {
    if (event.type === 'step') {
      this.#step(event);
      return;
    }
    this.#bars.stop();
    if (event.type === 'epoch') this.#epoch(event);
    else if (event.reason === 'early-stopped') {
      this.context.stderr(`early stopping: no better network for ${this.config.settings.patience} epochs`);
    }
  }

  close(): void {
    this.#bars.stop();
  }

  #step({ epoch, step, loss, pixels, durationMs }: StepEvent): void {
    const { epochSteps } = this.facts;
    const { epochs } = this.config.settings;
    this.#loss = movingAverage(this.#loss, loss);
    this.#msPerStep = movingAverage(this.#msPerStep, durationMs);
    const remainingMs = (epochs * epochSteps - (epoch * epochSteps + step + 1)) * this.#msPerStep;
    const speed = (pixels / durationMs / 1000).toFixed(2);
    this.#bars.update(
      [epoch, epochs, { validation: this.#validation, remaining: duration(remainingMs / 1000) }],
      [step + 1, epochSteps, { loss: this.#loss.toFixed(4), speed }],
    );
  }

  #epoch({ epoch, loss, validation, best, seconds }: EpochEvent): void {
    const { monitor } = this.facts;
    const value = scoreOf(monitor, validation.error);
    this.#validation = `${monitor} ${value?.toFixed(4) ?? 'NaN'}`;
    const losses = `loss ${loss.toFixed(4)}, validation loss ${validation.loss.toFixed(4)}`;
    this.context.stderr(
      `epoch ${epoch}/${this.config.settings.epochs}: ${losses}, ${formatScores(validation.scores)}, ` +
        `${duration(seconds)}${best ? ', best so far' : ''}`,
    );
  }
}

const movingAverage = (average: number | null, value: number): number =>
  average === null ? value : (1 - LATEST) * average + LATEST * value;
