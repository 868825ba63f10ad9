import type { LayerFacts } from '../../model/layers.js';
import { escapeXml } from '../training/charts.js';

/** A map of the network: a block as tall as the map is large, and as wide as it has channels. */
interface Block {
  readonly label: string;
  readonly channels: number;
  readonly side: number;
  readonly level: number;
  readonly name: string;
}

const MAX_HEIGHT = 150;
const LEVEL_PX = 190;
const GAP_PX = 34;

/** What a layer does to the map before it, as an arrow in the picture. */
const ARROWS: Record<string, { readonly colour: string; readonly text: string }> = {
  Conv2D: { colour: '#3182bd', text: 'convolution' },
  MaxPooling2D: { colour: '#c0392b', text: '2×2 pooling' },
  Conv2DTranspose: { colour: '#31a354', text: '2×2 up-convolution' },
  UpSampling2D: { colour: '#31a354', text: 'doubled pixels' },
  Concatenate: { colour: '#888888', text: 'crop and join' },
  Resizing: { colour: '#756bb1', text: 'resized' },
};

/** Draws a U-Net as its paper does: maps as blocks, levels below each other, skips across. */
export function netSvg(layers: readonly LayerFacts[], title: string): string {
  const drawn = layers.filter(({ kind }) => kind === 'InputLayer' || kind in ARROWS);
  const top = drawn[0]!.shape[0];
  const blocks = drawn.map(({ name, shape: [height, , channels] }): Block => {
    return { name, channels, side: height, label: String(channels), level: levelOf(drawn, name) };
  });
  const widthOf = ({ channels }: Block) => Math.max(3, Math.min(46, 4 * Math.sqrt(channels) - 1));
  const heightOf = ({ side }: Block) => Math.max(8, (MAX_HEIGHT * side) / top);
  let x = 24;
  const placed = new Map<string, { x: number; y: number; width: number; height: number; block: Block }>();
  for (const block of blocks) {
    const [width, height] = [widthOf(block), heightOf(block)];
    placed.set(block.name, {
      x,
      y: 70 + block.level * (LEVEL_PX * 0.72) + (MAX_HEIGHT - height) / 2,
      width,
      height,
      block,
    });
    x += width + GAP_PX;
  }
  const depth = Math.max(...blocks.map(({ level }) => level));
  const size = { width: x, height: 70 + depth * LEVEL_PX * 0.72 + MAX_HEIGHT + 60 };
  const at = (n: number) => n.toFixed(1);
  const shapes = [...placed.values()].map(({ x, y, width, height, block }) => {
    const middle = x + width / 2;
    return (
      `<rect x="${at(x)}" y="${at(y)}" width="${at(width)}" height="${at(height)}" fill="#eef3f8" stroke="#34495e"/>` +
      `<text x="${at(middle)}" y="${at(y - 5)}" text-anchor="middle">${block.label}</text>` +
      `<text x="${at(middle)}" y="${at(y + height + 13)}" text-anchor="middle" fill="#666">${block.side}²</text>`
    );
  });
  const arrows = drawn.flatMap(({ name, kind, inputs }) => {
    const to = placed.get(name)!;
    return inputs.map((input) => {
      const from = placed.get(drawnSource(layers, placed, input));
      if (!from) return '';
      const { colour } = ARROWS[kind]!;
      const across = kind === 'Concatenate' && to.x - from.x > 2 * GAP_PX + 60;
      const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
      const y2 = across ? y1 : to.y + to.height / 2;
      const dash = across ? ' stroke-dasharray="5 4"' : '';
      return `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(to.x)}" y2="${at(y2)}" stroke="${colour}" stroke-width="2"${dash} marker-end="url(#head)"/>`;
    });
  });
  const kinds = [...new Set(drawn.map(({ kind }) => kind))].filter((kind) => kind in ARROWS);
  const legend = kinds.map((kind, i) => {
    const { colour, text } = ARROWS[kind]!;
    const left = 24 + i * 150;
    return `<line x1="${left}" y1="${size.height - 20}" x2="${left + 22}" y2="${size.height - 20}" stroke="${colour}" stroke-width="3"/><text x="${left + 28}" y="${size.height - 16}">${text}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${at(size.width)} ${at(size.height)}" width="${at(size.width)}" height="${at(size.height)}" font-family="system-ui, sans-serif" font-size="11">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="24" y="28" font-size="15" font-weight="600">${escapeXml(title)}</text>
${[...arrows, ...shapes, ...legend].join('\n')}
</svg>
`;
}

/** Poolings before a layer, less the up-convolutions. */
function levelOf(drawn: readonly LayerFacts[], name: string): number {
  let level = 0;
  for (const { name: other, kind } of drawn) {
    if (kind === 'MaxPooling2D') level++;
    if (kind === 'Conv2DTranspose' || kind === 'UpSampling2D') level--;
    if (other === name) break;
  }
  return level;
}

/** The drawn layer behind one that is not: an activation stands for its convolution, a crop for what it cuts. */
function drawnSource(
  layers: readonly LayerFacts[],
  placed: ReadonlyMap<string, unknown>,
  name: string,
): string {
  let at = name;
  while (!placed.has(at)) {
    const layer = layers.find((candidate) => candidate.name === at);
    if (!layer || layer.inputs.length === 0) return at;
    at = layer.inputs[0]!;
  }
  return at;
}
