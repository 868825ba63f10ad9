import tf = require('@tensorflow/tfjs-core');

import { fraction, type Rational } from '../../network/axis/rational.js';
import { type AxisStep, interpolation, repeat } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import { type Axis, dimsOf, type ImageValue } from '../values.js';
import type { Both } from './windows.js';

/** Denominators that factors are sought with. */
const MAX_UNDER = 64;

/** The fraction that a factor stands for, such as 1.5 for 3/2. */
function rational(c: NodeContext, factor: number): Rational {
  for (let under = 1; under <= MAX_UNDER; under++) {
    const over = Math.round(factor * under);
    if (over > 0 && Math.abs(over / under - factor) < 1e-6) return fraction(over, under);
  }
  return c.misfit(`it resizes by ${factor}, which is not a simple fraction`);
}

/** By how much rows and columns grow. */
function factorsOf(c: NodeContext, x: ImageValue): Both<Rational> {
  const of = (axis: Axis) => x.axes.indexOf(axis);
  const dims = dimsOf(x);
  const isUpsample = c.node.opType === 'Upsample' || c.opset < 11;
  const scales = isUpsample ? (c.constant(1)?.values ?? c.attribute('scales').floats) : c.constant(2)?.values;
  const axes = (c.ints('axes') ?? dims.map((_, d) => d)).map((d) => (d < 0 ? d + dims.length : d));
  const whole = (list: ArrayLike<number>, otherwise: readonly number[]): number[] =>
    otherwise.map((value, d) => (axes.includes(d) ? list[axes.indexOf(d)]! : value));
  const listed = scales?.length ? scales : isUpsample ? null : c.constant(3)?.values;
  if (listed && listed.length !== axes.length)
    c.unsupported(`it resizes ${axes.length} dimensions by ${listed.length} numbers`);
  if (scales && scales.length > 0) {
    const all = whole(
      scales,
      dims.map(() => 1),
    );
    if (all[of('n')] !== 1 || (of('c') >= 0 && all[of('c')] !== 1)) c.unsupported('it resizes channels');
    return [rational(c, all[of('h')]!), rational(c, all[of('w')]!)];
  }
  const sizes = c.constant(3)?.values;
  if (!sizes || isUpsample) return c.unsupported('it has neither scales nor sizes');
  const all = whole(sizes, dims);
  if (of('c') >= 0 && all[of('c')] !== x.channels) c.unsupported('it resizes channels');
  return [fraction(all[of('h')]!, x.sizes[0]), fraction(all[of('w')]!, x.sizes[1])];
}

const isPower = (n: number): boolean => (n & (n - 1)) === 0;
const text = ({ over, under }: Rational): string => (under === 1 ? `${over}` : `${over}/${under}`);

/** Ways of placing px that do not depend on how many there are; null for the others. */
const CENTRED: Readonly<Record<string, boolean>> = {
  half_pixel: true,
  half_pixel_symmetric: true,
  pytorch_half_pixel: true,
  asymmetric: false,
};

/** Whether a nearest px is that of which the output's px is a copy: `floor(i / factor)`. */
function isRepetition(factor: number, place: string, rounding: string): boolean {
  return Array.from({ length: 2 * factor }, (_, i) => i).every((i) => {
    const x = CENTRED[place] ? (i + 0.5) / factor - 0.5 : i / factor;
    const rounded = {
      floor: Math.floor(x),
      ceil: Math.ceil(x),
      round_prefer_floor: Math.ceil(x - 0.5),
      round_prefer_ceil: Math.floor(x + 0.5),
    }[rounding];
    return Math.max(0, rounded ?? Number.NaN) === Math.floor(i / factor);
  });
}

const REACH = {
  nearest: { front: 0, behind: 1 },
  linear: { front: 0, behind: 1 },
  cubic: { front: 1, behind: 2 },
};

export function resize(c: NodeContext): ImageValue {
  const x = c.image(0);
  const mode = c.string('mode', 'nearest') as keyof typeof REACH;
  if (!Object.hasOwn(REACH, mode)) c.unsupported(`its mode is "${mode}"`);
  const isOld = c.node.opType === 'Upsample' || c.opset < 11;
  const place = isOld ? 'asymmetric' : c.string('coordinate_transformation_mode', 'half_pixel');
  const rounding = isOld ? 'floor' : c.string('nearest_mode', 'round_prefer_floor');
  if (place === 'tf_crop_and_resize') c.unsupported('it cuts out a part of the tile (tf_crop_and_resize)');
  c.disregard('extrapolation_value'); // for what is cut out beyond the image
  c.only('keep_aspect_ratio_policy', 'stretch');
  if (mode !== 'cubic') c.only('exclude_outside', 0);
  c.disregard('exclude_outside', 'cubic_coeff_a');
  const antialias = c.int('antialias', 0) === 1;
  const factors = factorsOf(c, x);
  if (isOld && mode === 'nearest' && factors.some(({ over, under }) => over < under))
    c.unsupported(
      'which px it takes is not defined in versions up to 10: export it with version 11 or later',
    );
  if (place === 'half_pixel_symmetric' && factors.some(({ under }) => under !== 1))
    c.unsupported('it places px by the size of its output (half_pixel_symmetric); half_pixel is supported');
  const isCentred = CENTRED[place];
  let inexact: string | undefined;
  if (isCentred === undefined) {
    const reason =
      place === 'align_corners'
        ? 'it aligns corners, so that where px lie depends on the size of the tile: export it with align_corners=False'
        : `where its px lie ("${place}") depends on the size of the tile`;
    inexact = c.inexactUnlessApproximate(reason);
  }
  const [down, across] = factors;
  if (down.over === down.under && across.over === across.under && mode !== 'nearest') return x;
  const isWhole = factors.every(({ under }) => under === 1);
  const nchw = x.axes.join() === 'n,c,h,w' || x.axes.join() === 'n,h,w';
  if (mode === 'nearest' && isWhole && factors.every(({ over }) => isRepetition(over, place, rounding))) {
    return c.emit({
      images: [x],
      steps: [repeat(down.over), repeat(across.over)],
      parameters: { factors },
      compute: ([image]) => {
        const [, rows, columns] = image!.shape;
        return tf.image.resizeNearestNeighbor(image!, [rows * down.over, columns * across.over]);
      },
    });
  }
  if (!nchw && x.axes.join() !== 'n,h,w,c') c.unsupported(`it reads its image as [${x.axes.join(', ')}]`);
  const others = factors.filter(({ over, under }) => !isPower(over) || !isPower(under));
  if (mode !== 'nearest' && others.length > 0) {
    inexact ??= c.inexactUnlessApproximate(
      `it resizes ${mode === 'cubic' ? 'cubically' : 'linearly'} by ${text(others[0]!)}, whose weights are rounded differently in each tile; powers of two are exact`,
    );
  }
  if (antialias && factors.some(({ over, under }) => over < under)) {
    c.unsupported('it smooths what it reduces (antialias)');
  }
  const steps = factors.map((factor) => interpolation(factor, REACH[mode], isCentred ?? true)) as unknown as [
    AxisStep,
    AxisStep,
  ];
  const attributes = {
    mode,
    coordinate_transformation_mode: place,
    ...(mode === 'nearest' && { nearest_mode: rounding }),
    ...(mode === 'cubic' && {
      cubic_coeff_a: { float: c.float('cubic_coeff_a', -0.75) },
      exclude_outside: c.int('exclude_outside', 0),
    }),
  };
  const floats = [1, 1, ...factors.map(({ over, under }) => over / under)];
  return c.emit({
    images: [x],
    steps,
    parameters: { attributes, floats },
    ...(inexact !== undefined && { inexact }),
    compute: ([image]) =>
      rawNode(
        { name: c.node.name, opType: 'Resize', attributes, inputs: ['image', null, { floats }] },
        [image!],
        [image!.shape[0], ...steps.map((step, axis) => step.at(image!.shape[axis + 1]!).length), x.channels],
      ),
  });
}
