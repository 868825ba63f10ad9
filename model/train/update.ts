/**
 * Added to a moment and subtracted again, it leaves no float below the smallest normal one, 2^-126: sums are doubles,
 * and those of this size are multiples of it. The moments of a dead filter would decay through smaller floats, with which
 * a CPU computes some hundred times slower. A comparison would be slower, too: its outcome cannot be predicted.
 */
const ROUNDING = 1.5 * 2 ** -74;

export const BETA1 = 0.9;
export const BETA2 = 0.999;

/** An array of weights, and what its update needs: arrays of the same length. */
export interface ParameterState {
  readonly weights: Float32Array;
  readonly gradient: Float32Array;
  /** The momentum; or the first moments, and then the second. */
  readonly slots: readonly Float32Array[];
}

/** A step of SGD with momentum, or of Adam. Gradients are multiplied by `factor` first. */
export type UpdateRule =
  | { readonly kind: 'sgd'; readonly factor: number; readonly rate: number; readonly momentum: number }
  | {
      readonly kind: 'adam';
      readonly factor: number;
      readonly rate: number;
      readonly epsilon: number;
      /** By which weights are multiplied. */
      readonly decay: number;
    };

/** The buffers of all arrays, to be transferred; none may be shared with another array. */
export const buffersOf = (parameters: readonly ParameterState[]): ArrayBuffer[] =>
  parameters.flatMap(({ weights, gradient, slots }) =>
    [weights, gradient, ...slots].map(({ buffer }) => buffer as ArrayBuffer),
  );

/** Updates weights and slots in place. */
export function update({ weights, gradient, slots }: ParameterState, rule: UpdateRule): void {
  if (rule.kind === 'sgd') descend(weights, gradient, slots[0]!, rule);
  else adapt(weights, gradient, slots[0]!, slots[1]!, rule);
}

function descend(
  w: Float32Array,
  g: Float32Array,
  velocity: Float32Array,
  { factor, momentum, rate }: UpdateRule & { readonly kind: 'sgd' },
): void {
  for (let i = 0; i < w.length; i++) {
    const next = velocity[i]! * momentum + g[i]! * factor;
    velocity[i] = next + ROUNDING - ROUNDING;
    w[i]! -= next * rate;
  }
}

function adapt(
  w: Float32Array,
  g: Float32Array,
  mean: Float32Array,
  square: Float32Array,
  { factor, rate, epsilon, decay }: UpdateRule & { readonly kind: 'adam' },
): void {
  for (let i = 0; i < w.length; i++) {
    // All loads precede the stores: the arrays start at the same offset within a page, and a load that follows a store to
    // that offset of another page waits for it (4K aliasing).
    const x = g[i]! * factor;
    const weight = w[i]!;
    const m = mean[i]!;
    const s = square[i]!;
    const nextMean = m + (x - m) * (1 - BETA1);
    const nextSquare = s + (x * x - s) * (1 - BETA2);
    const next = weight * decay - (nextMean * rate) / (Math.sqrt(nextSquare) + epsilon);
    mean[i] = nextMean + ROUNDING - ROUNDING;
    square[i] = nextSquare + ROUNDING - ROUNDING;
    w[i] = next;
  }
}
