import { type Constant, sizeOf } from './constant.js';
import { arithmetic } from './fold-arithmetic.js';
import { arrangement } from './fold-arrangement.js';
import { MAX_ELEMENTS, type Rule, UnfoldableError } from './fold-rule.js';
import type { OnnxNode } from './onnx-file.js';

/** Elements of all tensors that are folded of one graph, at most: a file of few bytes may have many nodes. */
const MAX_TOTAL = 4 * MAX_ELEMENTS;

const RULES: Readonly<Record<string, Rule>> = { ...arithmetic, ...arrangement };

/** Computes nodes of constants, of one graph. */
export class Folding {
  #left: number;

  /** @param elements of all results together, at most */
  constructor(elements = MAX_TOTAL) {
    this.#left = elements;
  }

  /** What a node of constants computes; null where this is not known, or would be too much. */
  fold(node: OnnxNode, inputs: readonly (Constant | null)[]): readonly Constant[] | null {
    const rule = Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : undefined;
    if (!rule) return null;
    let results: readonly Constant[];
    try {
      results = [rule(inputs as Constant[], node)].flat();
    } catch (error) {
      // a TypeError: an input that the operator must have is missing
      if (error instanceof UnfoldableError || error instanceof TypeError) return null;
      throw error;
    }
    const isNew = ({ values }: Constant) => !inputs.some((input) => input?.values === values);
    this.#left -= results.filter(isNew).reduce((sum, { dims }) => sum + sizeOf(dims), 0);
    return this.#left >= 0 ? results : null;
  }
}
