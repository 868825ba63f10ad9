import type { Random } from './random.js';

/** Replaces one number or one character of a text. */
export function mutateText(text: string, random: Random): { readonly what: string; readonly text: string } {
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length > 0 && random.chance(0.7)) {
    const found = random.pick(numbers);
    const other = random.pick([
      '0',
      '1',
      '2',
      '-1',
      '1000000000',
      '4294967296',
      '1e9',
      'NaN',
      '',
      '0.5',
      '99',
    ]);
    const changed = text.slice(0, found.index) + other + text.slice(found.index + found[0].length);
    return { what: `${found[0]} at ${found.index} is ${other || 'gone'}`, text: changed };
  }
  const at = random.below(text.length);
  const other = random.pick([
    '<',
    '>',
    '&',
    '"',
    '\u0001',
    'é',
    '&#x0;',
    '<!DOCTYPE x>',
    ']]>',
    '\n',
    '='.repeat(5000),
  ]);
  const shown = JSON.stringify(other.slice(0, 12));
  return { what: `character ${at} is ${shown}`, text: text.slice(0, at) + other + text.slice(at + 1) };
}
