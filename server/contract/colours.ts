import type { Card } from '../../model/shelf/card.js';
import type { OverlayColour } from '../../tiling/sinks/overlay.js';

/** RGB colours of a card's classes, by class index; null for a class that is not drawn. */
export const coloursOf = (card: Pick<Card, 'classes'>): OverlayColour[] =>
  card.classes.map(({ colour }) => rgbOf(colour));

/** @param colour `#rrggbb`, or null */
export function rgbOf(colour: string | null): OverlayColour {
  if (colour === null) return null;
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
