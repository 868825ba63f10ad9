import tf = require('@tensorflow/tfjs-core');

import { crop } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import { partsOf, takenBy } from '../shapes.js';
import { type Axis, dimsOf, type GraphValue, type ImageValue } from '../values.js';

/** A node's axis as that of an image. */
function axisAt(c: NodeContext, { axes }: ImageValue, axis: number): Axis {
  const found = axes[axis < 0 ? axis + axes.length : axis];
  return found ?? c.unsupported(`it has no dimension ${axis}`);
}

/** Cuts rows, columns and channels: as many from the ends, whatever the size. */
function cut(
  c: NodeContext,
  x: ImageValue,
  margins: { readonly rows: readonly [number, number]; readonly columns: readonly [number, number] },
  channels: readonly [from: number, count: number],
): ImageValue {
  const { rows, columns } = margins;
  const isCropped = [...rows, ...columns].some((px) => px !== 0);
  return c.emit({
    images: [x],
    channels: channels[1],
    ...(isCropped && { steps: [crop(...rows), crop(...columns)] as const }),
    parameters: { margins, channels },
    compute: ([image]) => {
      const [count, height, width] = image!.shape;
      return tf.slice(
        image!,
        [0, rows[0], columns[0], channels[0]],
        [count, height - rows[0] - rows[1], width - columns[0] - columns[1], channels[1]],
      );
    },
  });
}

const WHOLE = { rows: [0, 0], columns: [0, 0] } as const;

function slice(c: NodeContext): GraphValue {
  const x = c.image(0);
  const dims = dimsOf(x);
  c.disregard('starts', 'ends', 'axes'); // they are looked up below
  const constants = c.values.map((_, i) => (i === 0 ? null : c.constant(i)));
  const taken = takenBy(c.node, constants, dims) ?? c.unsupported('its bounds are not known');
  let rows: readonly [number, number] = [0, 0];
  let columns: readonly [number, number] = [0, 0];
  let channels: readonly [number, number] = [0, x.channels];
  for (const { axis, start, end, step } of taken) {
    const length = dims[axis]!;
    if (start === 0 && end >= length && step === 1) continue;
    if (step !== 1) return c.unsupported(`its step is ${step}; only 1 is supported`);
    switch (axisAt(c, x, axis)) {
      case 'c':
        channels = [start, end - start];
        break;
      case 'h':
        rows = [start, length - end];
        break;
      case 'w':
        columns = [start, length - end];
        break;
      case 'n':
        c.unsupported('it takes some images of the batch');
    }
  }
  if (channels[1] < 1) c.unsupported('it takes no channels');
  return cut(c, x, { rows, columns }, channels);
}

function split(c: NodeContext): GraphValue[] {
  const x = c.image(0);
  if (axisAt(c, x, c.int('axis', 0)) !== 'c') c.inexact('it divides the tile itself, and not its channels');
  const parts = c.node.outputs.length;
  c.only('num_outputs', parts);
  const stated = c.list('split', 1);
  const lengths = partsOf(c.node, c.constant(1), x.channels);
  if (lengths === null || lengths.includes(0))
    return c.unsupported(`it splits ${x.channels} channels into ${parts} parts of [${stated}]`);
  let from = 0;
  return lengths.map((length) => {
    const part = cut(c, x, WHOLE, [from, length]);
    from += length;
    return part;
  });
}

function gather(c: NodeContext): GraphValue {
  const x = c.image(0);
  if (axisAt(c, x, c.int('axis', 0)) !== 'c')
    c.unsupported('it picks rows, columns or images; only channels are supported');
  const indices = c.required(1);
  const list = c.integers(1).map((i) => (i < 0 ? i + x.channels : i));
  if (indices.dims.length > 1) c.unsupported('its indices have more than one dimension');
  if (!list.every((i) => i >= 0 && i < x.channels))
    c.unsupported(`it picks the channels [${indices.values}] of ${x.channels}`);
  const isScalar = indices.dims.length === 0;
  return c.emit({
    images: [x],
    axes: isScalar ? x.axes.filter((axis) => axis !== 'c') : x.axes,
    channels: list.length,
    parameters: list,
    compute: ([image]) => {
      const parts = list.map((from) => tf.slice(image!, [0, 0, 0, from], [-1, -1, -1, 1]));
      return parts.length === 1 ? parts[0]! : tf.concat(parts, 3);
    },
  });
}

function concat(c: NodeContext): GraphValue {
  const images = c.values.map((_, i) => c.image(i));
  const [first] = images as [ImageValue];
  if (axisAt(c, first, c.int('axis', 1)) !== 'c')
    c.inexact('it joins tiles along rows or columns, and not their channels');
  for (const { axes, sizes } of images) {
    if (axes.join() !== first.axes.join() || sizes.join() !== first.sizes.join()) {
      c.misfit(`its images have shapes ${images.map((image) => `[${dimsOf(image)}]`).join(' and ')}`);
    }
  }
  return c.emit({
    images,
    channels: images.reduce((sum, { channels }) => sum + channels, 0),
    compute: (tensors) => tf.concat([...tensors], 3),
  });
}

function pad(c: NodeContext): GraphValue {
  const x = c.image(0);
  const pads = c.list('pads', 1) ?? c.unsupported('its padding is not known');
  const rank = pads.length / 2;
  const axes = c.constant(3) ? c.integers(3) : [...x.axes.keys()];
  if (axes.length !== rank) c.unsupported(`it pads ${axes.length} dimensions by [${pads}]`);
  const of = (axis: Axis): readonly [number, number] => {
    const at = axes.findIndex((each) => axisAt(c, x, each) === axis);
    return at < 0 ? [0, 0] : [pads[at]!, pads[at + rank]!];
  };
  if ([...of('n'), ...of('c')].some((n) => n !== 0)) c.unsupported('it pads channels or images');
  const [rows, columns] = [of('h'), of('w')];
  const all = [...rows, ...columns];
  const mode = c.string('mode', 'constant');
  const value = c.constant(2)?.values[0] ?? c.float('value', 0);
  if (!['constant', 'reflect', 'edge', 'wrap'].includes(mode)) c.unsupported(`its mode is "${mode}"`);
  if (all.every((px) => px === 0)) return x;
  const steps = [crop(-rows[0], -rows[1]), crop(-columns[0], -columns[1])] as const;
  if (all.every((px) => px <= 0)) {
    const margins = { rows: [-rows[0], -rows[1]] as const, columns: [-columns[0], -columns[1]] as const };
    return cut(c, x, margins, [0, x.channels]);
  }
  if (all.some((px) => px < 0)) c.unsupported('it pads one side and cuts px off at another');
  if (mode === 'constant') {
    return c.emit({
      images: [x],
      steps,
      parameters: { rows, columns, value },
      compute: ([image]) => tf.pad(image!, [[0, 0], [...rows], [...columns], [0, 0]], value),
    });
  }
  const ints = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]];
  return c.emit({
    images: [x],
    steps,
    parameters: { ints, mode },
    compute: ([image]) =>
      rawNode(
        { name: c.node.name, opType: 'Pad', attributes: { mode }, inputs: ['image', { ints }] },
        [image!],
        [image!.shape[0], ...steps.map((step, axis) => step.at(image!.shape[axis + 1]!).length), x.channels],
      ),
  });
}

/** Operators that cut px and channels off, and add and join them. */
export const selection: Readonly<Record<string, (c: NodeContext) => GraphValue | GraphValue[]>> = {
  Slice: slice,
  Split: split,
  Gather: gather,
  Concat: concat,
  Pad: pad,
};
