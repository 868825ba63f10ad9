import type { Engine, EngineModel } from '../../model/engine.js';
import { borderScores } from '../../model/train/border-scores.js';
import { Confusion, round } from '../../model/train/scores.js';
import type { Size } from '../../tiling/geometry.js';
import { chooseTile, planTiles } from '../../tiling/plan.js';
import { MemorySink } from '../../tiling/sinks/memory.js';
import type { ImageSource } from '../../tiling/source.js';
import { TilePredictor } from '../predict.js';
import { segment } from '../segment.js';
import type { Dataset, Pair } from './dataset.js';
import { IGNORED } from './labels.js';

/** What a network says of one picture. */
export interface Prediction {
  readonly pair: Pair;
  readonly size: Size;
  /** Class indices of the truth, `IGNORED` where a pixel does not count. */
  readonly truth: Uint8Array;
  readonly labels: Uint8Array;
  /** Of the second of two classes; null where there are more. */
  readonly foreground: Float32Array | null;
}

export interface EvaluateOptions {
  readonly engine: Engine;
  readonly model: Pick<EngineModel, 'id' | 'geometry'>;
  readonly classes: number;
  readonly symmetries?: boolean;
  readonly signal: AbortSignal;
}

/** Segments pictures as serving does, one after the other. */
export async function* predictions(
  pairs: readonly Pair[],
  dataset: Pick<Dataset, 'codec'>,
  { engine, model, classes, symmetries = false, signal }: EvaluateOptions,
): AsyncGenerator<Prediction> {
  const predictor = new TilePredictor(engine);
  for (const pair of pairs) {
    const { size } = pair.image;
    const probabilities = await segmented(pair.image, { classes, symmetries, signal, model, predictor });
    const labels = new Uint8Array(size.width * size.height);
    for (let at = 0; at < labels.length; at++) labels[at] = greatest(probabilities, at * classes, classes);
    const stored = await pair.labels.readRegion({ x: 0, y: 0, ...pair.labels.size });
    const foreground = classes === 2 ? secondOf(probabilities) : null;
    yield { pair, size, truth: dataset.codec.decode(stored), labels, foreground };
  }
}

async function segmented(
  image: ImageSource,
  {
    classes,
    symmetries,
    signal,
    model: { id, geometry },
    predictor,
  }: Required<Omit<EvaluateOptions, 'engine'>> & { readonly predictor: TilePredictor },
): Promise<Float32Array> {
  const { smallest, tileable } = geometry;
  const fixed = { width: smallest, height: smallest };
  const tile = tileable ? chooseTile(image.size, 'auto', geometry) : fixed;
  const sink = new MemorySink(image.size, classes);
  await segment({
    source: image,
    plan: planTiles(image.size, { tile, rule: geometry }),
    output: 'probabilities',
    classes,
    sink,
    predict: predictor.for('evaluation', { id, exact: tileable }, symmetries),
    signal,
  });
  return sink.data as Float32Array;
}

/** The class of the greatest probability, the lowest of equals. */
function greatest(probabilities: Float32Array, at: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (probabilities[at + c]! > probabilities[at + best]!) best = c;
  return best;
}

function secondOf(probabilities: Float32Array): Float32Array {
  return Float32Array.from({ length: probabilities.length / 2 }, (_, at) => probabilities[2 * at + 1]!);
}

/** Probabilities at which the border scores cut foreground from border; the best is kept, as in the challenge. */
const THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** Scores of pictures, gathered one by one; nothing of a picture is kept. */
export class Evaluation {
  readonly #confusion: Confusion;
  readonly #borders = THRESHOLDS.map(() => ({ vRand: 0, vInfo: 0 }));
  #pictures = 0;

  constructor(private readonly names: readonly string[]) {
    this.#confusion = new Confusion(names.length);
  }

  /** Adds a picture; returns the scores of it alone. `borders` adds V_Rand and V_Info, of two classes. */
  add({ truth, labels, foreground, size }: Prediction, borders: boolean): Record<string, number> {
    const own = new Confusion(this.names.length);
    own.add(truth, labels);
    this.#confusion.merge(own);
    const scores = own.scores(this.names);
    if (!borders || foreground === null) return scores;
    this.#pictures++;
    const counted = truth.map((value) => (value === IGNORED ? 2 : value));
    const each = THRESHOLDS.map((threshold) => {
      const cut = Uint8Array.from(foreground, (p) => (p > threshold ? 1 : 0));
      return borderScores(counted, cut, size.width, size.height);
    });
    for (const [i, { vRand, vInfo }] of each.entries()) {
      this.#borders[i]!.vRand += vRand;
      this.#borders[i]!.vInfo += vInfo;
    }
    return { ...scores, ...bestOf(each) };
  }

  get pixelError(): number {
    return this.#confusion.pixelError;
  }

  /** Over all pictures: pixel scores pooled, border scores as means, at their best threshold. */
  get scores(): Record<string, number> {
    const scores = this.#confusion.scores(this.names);
    if (this.#pictures === 0) return scores;
    const means = this.#borders.map(({ vRand, vInfo }) => {
      return { vRand: vRand / this.#pictures, vInfo: vInfo / this.#pictures };
    });
    return { ...scores, ...bestOf(means) };
  }
}

/** Scores over all classes as words; those of single classes, whose names have a space, are left out. */
export function scoreWords(scores: Readonly<Record<string, number>>): string {
  return Object.entries(scores)
    .filter(([name]) => !name.includes(' '))
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function bestOf(each: readonly { vRand: number; vInfo: number }[]): Record<string, number> {
  return {
    vRand: round(Math.max(...each.map(({ vRand }) => vRand))),
    vInfo: round(Math.max(...each.map(({ vInfo }) => vInfo))),
  };
}
