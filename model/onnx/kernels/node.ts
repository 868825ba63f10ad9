import type * as tf from '@tensorflow/tfjs-core';
import type { Operator } from '../operator.js';
import { NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { elementwise } from './elementwise.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { ONNX_NODE, type OnnxNodeAttrs, type RawInput } from './node-attrs.js';

type Recorded = Pick<OnnxNodeAttrs, 'opType' | 'attributes' | 'inputs' | 'isChannelsLast'>;

/** The name in the graph of an input that is no tensor. */
function nameOf(g: GraphWriter, input: Exclude<RawInput, 'image' | 'plain'>): string {
  if (input === null) return '';
  if ('ints' in input) return g.ints(input.ints);
  return g.initializer('float32', [input.floats.length], Float32Array.from(input.floats));
}

/** A node of ONNX as it is, of images in NCHW. */
const onnxNode: Operator<Recorded, readonly Value[]> = {
  name: ONNX_NODE,
  emit(g, values, { opType, attributes, inputs, isChannelsLast }, output) {
    const tensors = [...values];
    const names = inputs.map((input) => {
      if (input === 'plain' || (input === 'image' && isChannelsLast)) return tensors.shift()!.plain;
      return input === 'image' ? tensors.shift()!.as(NCHW) : nameOf(g, input);
    });
    return output.value(g.op(opType, names, attributes), isChannelsLast ? undefined : NCHW);
  },
};

/** The same for a function of each number: it leaves images in the layout in which they are. */
const onnxElementwise: Operator<Recorded, readonly Value[]> = elementwise<Recorded>(
  `${ONNX_NODE}Elementwise`,
  null,
  (g, tensors, { opType, attributes, inputs }) => {
    const names = [...tensors];
    return g.op(
      opType,
      inputs.map((input) => (input === 'image' || input === 'plain' ? names.shift()! : nameOf(g, input))),
      attributes,
    );
  },
);

/** For nodes of imported graphs that TensorFlow.js has no operator for. */
export const nodeKernels: readonly Kernel[] = [
  kernel<Tensors, OnnxNodeAttrs>(ONNX_NODE, ({ inputs: tensors, attrs, backend }) => {
    const { opType, attributes, inputs, shape, isElementwise, isChannelsLast } = attrs;
    const recorded: Recorded = { opType, attributes, inputs, ...(isChannelsLast && { isChannelsLast }) };
    const operator = isElementwise ? onnxElementwise : onnxNode;
    return backend.record(operator, Object.values(tensors) as tf.TensorInfo[], recorded, shape, 'float32');
  }),
];
