import type { Attributes, NodeProto } from '../proto.js';

// A number beyond 65,504 is no result, wherever it occurs. It is infinite in 16 bits, or NaN once infinities cancelled
// each other, and arithmetic spreads both: a convolution, a sum, a mean or a product of it is infinite or NaN again, up to
// the scores, which are tested, or to the gradients. So an overflow is found at the end if nothing before ends it. Three
// kinds of operators would:
//
// - a ReLU: max(x, 0) of a GPU makes 0 of NaN. That of -Inf would be right if sums had more bits than their terms, but
//   WebGPU adds in 16, where a sum that is positive in the end may have passed -65,504 before;
// - max pooling, which takes the greatest number beside a NaN;
// - comparisons, `Clip`, `Max` and `Min`.
//
// The first two are written so that they do not (below). They cost no pass over a feature map for a ReLU, and one for a
// pooling. The others are computed in 32 bits in a frozen network, and what leaves the 16 bits is tested (`policy.ts`). In
// a training they are found in gradients only: a ReLU's is a product with 0 or 1, and 0 times NaN is NaN; pooling passes
// each gradient on to one pixel. What is cropped is read by nothing, so it need not be found.

/** Writes a further node, and returns the name of its output. */
type WriteNode = (opType: string, input: readonly string[], attributes?: Attributes) => string;

/** A node, or the last one of those in its place, that ends no overflow. */
export function overflowing(node: NodeProto, write: WriteNode): NodeProto {
  switch (node.opType) {
    case 'Relu':
      return overflowingRelu(node);
    case 'MaxPool':
      return overflowingMaxPool(node, write);
    default:
      return node;
  }
}

/**
 * With a slope of 0 below 0, since 0 times an infinite number, or NaN, is NaN. Devices read the slope when they run, so no
 * compiler can take the product for 0.
 */
const overflowingRelu = (relu: NodeProto): NodeProto => ({
  ...relu,
  opType: 'LeakyRelu',
  attributes: { alpha: { float: 0 } },
});

/**
 * With x - x, of the mean x of each window, which is 0 for a number and otherwise NaN. WebGPU adds in 16 bits for a mean,
 * too, and so refuses windows whose numbers add up to more than 65,504.
 */
function overflowingMaxPool({ input, output, attributes }: NodeProto, write: WriteNode): NodeProto {
  const maxima = write('MaxPool', input, attributes);
  const means = write('AveragePool', input, attributes);
  return { opType: 'Add', input: [maxima, write('Sub', [means, means])], output, attributes: {} };
}
