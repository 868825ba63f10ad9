import type { NodeContext } from '../node-context.js';
import type { GraphValue } from '../values.js';
import { conv } from './convolution.js';
import { pointwise } from './pointwise.js';
import { averagePool, maxPool } from './pooling.js';
import { reduce } from './reduce.js';
import { tile } from './repeat.js';
import { reshaping } from './reshape.js';
import { resize } from './resize.js';
import { selection } from './select.js';
import { shuffling } from './shuffle.js';
import { convTranspose } from './transposed-convolution.js';

/** How each operator of ONNX is computed; others are refused by name. */
const OPERATORS: Readonly<Record<string, (c: NodeContext) => GraphValue | GraphValue[]>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  Resize: resize,
  Upsample: resize,
  Tile: tile,
  ...pointwise,
  ...selection,
  ...reshaping,
  ...shuffling,
  ...reduce,
};

/** The operators that are known, for documentation. */
export const KNOWN_OPERATORS: readonly string[] = Object.keys(OPERATORS).sort();

/** What a node that reads an image becomes. @throws UnsupportedNodeError, InexactModelError by its name */
export function lowerNode(c: NodeContext): GraphValue[] {
  const { opType } = c.node;
  const rule = Object.hasOwn(OPERATORS, opType) ? OPERATORS[opType] : undefined;
  if (rule === undefined) c.unsupported(`operators of type ${opType} are not supported`);
  const results = [rule(c)].flat();
  c.refuseOthers();
  return results;
}
