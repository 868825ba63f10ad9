import type { Calibration, Speed } from '../calibrate.js';
import type { Outcome } from '../images.js';
import type { Clock, Timed } from '../measure/open-loop.js';
import type { Random } from '../measure/random.js';
import type { Trend } from '../measure/trend.js';
import type { Samples } from '../samples.js';
import type { Target } from '../target.js';

/** What a scenario has at hand. */
export interface Load {
  readonly target: Target;
  readonly model: string;
  readonly samples: Samples;
  readonly random: Random;
  /** What the server was measured to do, to choose rates by. */
  readonly speed: Speed;
  readonly options: LoadOptions;
  readonly clock: Clock;
  /** Prints a line of progress. */
  readonly log: (line: string) => void;
}

export interface LoadOptions {
  /** How long requests arrive, in s; null for the scenario's own time. */
  readonly seconds: number | null;
  /** Images a second; null for a share of what the server was measured to do. */
  readonly rate: number | null;
  /** The most images that are in flight; further ones wait, and their wait counts. */
  readonly connections: number;
}

/** Requests that are reported together, such as all images. */
export interface Group {
  readonly name: string;
  readonly sent: readonly Timed<Outcome>[];
}

/** What a scenario measured. */
export interface Findings {
  readonly groups: readonly Group[];
  /** Requests that failed beside those in the groups. */
  readonly errors: number;
  readonly wrongMasks: number;
  /** What was accepted and never ended as it should. */
  readonly lost: number;
  /** How long the load took, until its last response, in s. */
  readonly elapsedS: number;
  /** How the load was: rates, numbers of connections, what was counted. */
  readonly facts: Readonly<Record<string, number>>;
  /** Responses by status. */
  readonly statuses?: Readonly<Record<string, number>>;
  readonly trends?: Readonly<Record<string, Trend>>;
}

/** The bounds of a ratio. */
export interface Bound {
  readonly least?: number;
  readonly most?: number;
}

export interface Scenario {
  /** What it shows, in a sentence. */
  readonly about: string;
  /** What `unseam serve` is started with for it. */
  readonly serverArgs: readonly string[];
  /** Whether its figures are of memory, which some thousand requests must have warmed up. Default false. */
  readonly isOfMemory?: boolean;
  readonly thresholds: Readonly<Record<string, Bound>>;
  readonly run: (load: Load) => Promise<Findings>;
  /**
   * Numbers without a unit, which do not depend on the speed of the machine: thresholds and the baseline hold these.
   * @param alone everything by itself, measured right before and right after
   */
  readonly ratios: (findings: Findings, alone: Calibration) => Readonly<Record<string, number>>;
}
