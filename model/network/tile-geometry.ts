/** Lengths on the four sides of a rectangle, in px. */
export interface Margins {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** How a network's tiles relate to its input, in input px. */
export interface TileGeometry {
  /** The context that a tile reads around the pixels that it outputs. */
  readonly halo: Margins;
  /** The part of the halo that the network still outputs; those pixels depend on its zero padding and are cropped. */
  readonly padded: Margins;
  /** Tiles agree with one pass over the whole image only where their origins are congruent modulo this. */
  readonly multiple: number;
  /** Valid input sizes are `smallest + k·multiple`; the smallest one outputs at least `multiple` px. */
  readonly smallest: number;
  /** False where logits are resized: there is one input size then, and tiles differ from a whole pass. */
  readonly tileable: boolean;
}
