import type { Output } from '../operator.js';
import type { BLOCKED, NCHW, Value } from '../value.js';
import type { GraphWriter } from '../writer.js';

/** What a convolution leaves: a name in the graph, and the layout in which it lies. */
export interface Written {
  readonly name: string;
  readonly layout: typeof BLOCKED | typeof NCHW;
}

/** A computation of an image that is not written yet, so that what reads it may become part of it. */
export interface Writable {
  /** Writes the nodes. */
  write(g: GraphWriter): Written;
}

/** The tensor of a computation that is written when it is needed. */
export function deferred(g: GraphWriter, output: Output, origin: Writable): Value {
  const write = () => {
    const { name, layout } = origin.write(g);
    return output.value(name, layout);
  };
  return output.deferred({ origin, write });
}
