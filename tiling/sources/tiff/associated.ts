import { UnsupportedImageError } from '../../errors.js';
import { TAG } from '../../tiff/tags.js';
import type { Directory } from './directory.js';

/** The subfile type of macro images (Aperio). */
const MACRO_SUBFILE = 9;

/**
 * Whether a name is that of a picture of the glass, which shows the label, and so perhaps the patient's name: `label`,
 * `Macro image`, `slide.svs [label]`. What only begins so, such as `label-free`, is another picture.
 */
export const isNameOfGlass = (name: string): boolean => /(^|\W)(label|macro)(\Wimage)?\W*$/i.test(name);

/** Whether a page after the first is a picture of the glass, as far as the page says so itself. */
export async function isGlass(page: Directory): Promise<boolean> {
  if ((await page.number(TAG.newSubfileType, 0)) === MACRO_SUBFILE) return true;
  const lines = (await page.text(TAG.description)).split(/\r?\n/);
  // Aperio's `label 387x463`, and names alone
  return lines.some((line) => /^\W*(label|macro)(\Wimage)?( +\d+x\d+)?\W*$/i.test(line));
}

/** The refusal of a page that no client may read. */
export const refusePage = (number: number): UnsupportedImageError =>
  new UnsupportedImageError(`page ${number} of this slide is its label, macro image or thumbnail`);
