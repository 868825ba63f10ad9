/**
 * Random augmentation of training crops. Lengths are in px of the crop, intensities in [0, 1]; every option is
 * switched off by 0 or false. `docs/training.md` has the sources.
 */
export interface Augmentation {
  /** Mirror each axis with probability ½. */
  readonly flip: boolean;
  /** Swap the axes with probability ½. */
  readonly transpose: boolean;
  /** Rotate by 0°, 90°, 180° or 270°, each as likely. */
  readonly rotate90: boolean;
  /** Largest translation along each axis, as a share of the crop's side; 0.05 moves 13 px of 256. */
  readonly shift: number;
  /** Largest zoom in either direction: 0.1 scales by 0.9 to 1.1. */
  readonly scale: number;
  /** Largest rotation in either direction, in degrees; 15 rotates by −15° to 15°. */
  readonly rotate: number;
  /** Elastic deformation of the U-Net paper: standard deviation in px of the displacements on a 3×3 grid; 10. */
  readonly elastic: number;
  /** Elastic deformation per pixel (Simard et al.): the factor of the blurred displacement field; 35. */
  readonly dense: number;
  /** Standard deviation in px of the blur of `dense`; 5. */
  readonly denseSigma: number;
  /** Largest standard deviation of additive normal noise; its variance is drawn uniformly from 0 to `noise²`. */
  readonly noise: number;
  /** Multiplicative noise: each pixel is multiplied by 1 − `speckle` to 1 + `speckle`. */
  readonly speckle: number;
  /** Largest offset in either direction, the same for all pixels. */
  readonly brightness: number;
  /** Largest change of contrast about mid-gray: 0.25 multiplies by 0.75 to 1.25. */
  readonly contrast: number;
  /** Largest change of gamma, in powers of two: 0.5 raises to the power of 0.71 to 1.41. */
  readonly gamma: number;
}

export const NO_AUGMENTATION: Augmentation = {
  flip: false,
  transpose: false,
  rotate90: false,
  shift: 0,
  scale: 0,
  rotate: 0,
  elastic: 0,
  dense: 0,
  denseSigma: 5,
  noise: 0,
  speckle: 0,
  brightness: 0,
  contrast: 0,
  gamma: 0,
};

const DIHEDRAL: Augmentation = { ...NO_AUGMENTATION, flip: true, transpose: true, rotate90: true };

/** Named sets of augmentations; `docs/training.md` says where each comes from. */
export const AUGMENTATIONS = {
  none: NO_AUGMENTATION,
  dihedral: { ...DIHEDRAL, brightness: 0.1, contrast: 0.25 },
  paper: { ...DIHEDRAL, shift: 0.05, rotate: 15, elastic: 10, brightness: 0.1, contrast: 0.25 },
  'isbi-2012': {
    ...DIHEDRAL,
    shift: 0.0625,
    scale: 0.1,
    rotate: 45,
    dense: 35,
    denseSigma: 5,
    noise: Math.sqrt(20) / 255,
    speckle: 0.1,
    brightness: 0.15,
    contrast: 0.15,
  },
} as const satisfies Record<string, Augmentation>;
