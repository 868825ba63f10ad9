/** Width and height in px. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Half-open: `start` belongs to it, `stop` does not. */
export interface Interval {
  readonly start: number;
  readonly stop: number;
}

/** A rectangle of px; `x` and `y` are its first column and row, in the frame that its name says. */
export interface Rect extends Size {
  readonly x: number;
  readonly y: number;
}

/** Lengths on the four sides of a rectangle, in px. */
export interface Margins {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** The size that remains within margins. */
export function within({ width, height }: Size, { top, left, bottom, right }: Margins): Size {
  return { width: width - left - right, height: height - top - bottom };
}

/** The columns of a rectangle. */
export function columns(rect: Rect): Interval {
  return { start: rect.x, stop: rect.x + rect.width };
}

/** The rows of a rectangle. */
export function rows(rect: Rect): Interval {
  return { start: rect.y, stop: rect.y + rect.height };
}

/** The rectangle with these columns and rows. */
export function rectOf(x: Interval, y: Interval): Rect {
  return { x: x.start, y: y.start, width: x.stop - x.start, height: y.stop - y.start };
}

/** A rectangle grown by `px` on every side, as far as the image goes. */
export function expand({ x, y, width, height }: Rect, px: number, image: Size): Rect {
  const [left, top] = [Math.max(0, x - px), Math.max(0, y - px)];
  return {
    x: left,
    y: top,
    width: Math.min(image.width, x + width + px) - left,
    height: Math.min(image.height, y + height + px) - top,
  };
}

/** Cuts an interval into runs of `step`; the last may be shorter. Lazy. */
export function* runs({ start, stop }: Interval, step: number): Generator<Interval> {
  for (let at = start; at < stop; at += step) yield { start: at, stop: Math.min(at + step, stop) };
}
