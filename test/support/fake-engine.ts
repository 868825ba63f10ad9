import type { Engine } from '../../model/engine.js';
import type { OutputKind, TileBatch } from '../../model/frozen.js';
import type { TileGeometry } from '../../model/geometry.js';

/** A geometry without a halo: every px of a tile is the network's own. */
export const POINTWISE: TileGeometry = {
  halo: { top: 0, left: 0, bottom: 0, right: 0 },
  padded: { top: 0, left: 0, bottom: 0, right: 0 },
  multiple: 1,
  smallest: 1,
  tileable: true,
};

/** Says the probabilities of a gray value of 8 bits, by class. */
export type PixelRule = (id: number, value: number) => readonly number[];

/** A network that looks at each gray pixel alone, by a rule: `predict` as the engine's, without an engine. */
export function predictBy(rule: PixelRule, asked: OutputKind[] = []): Pick<Engine, 'predict'> {
  return {
    async predict(id: number, { data }: TileBatch, output: OutputKind) {
      asked.push(output);
      const each = Array.from(data, (value) => rule(id, value));
      if (output === 'probabilities') return Float32Array.from(each.flat());
      return Uint8Array.from(each, (p) => p.indexOf(Math.max(...p)));
    },
  };
}
