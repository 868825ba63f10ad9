/** A positive fraction in lowest terms. */
export interface Rational {
  readonly over: number;
  readonly under: number;
}

export const ONE: Rational = { over: 1, under: 1 };

function greatestCommonDivisor(a: number, b: number): number {
  let [greatest, rest] = [a, b];
  while (rest > 0) [greatest, rest] = [rest, greatest % rest];
  return greatest;
}

export function leastCommonMultiple(a: number, b: number): number {
  return (a / greatestCommonDivisor(a, b)) * b;
}

/** The fraction of two positive integers. */
export function fraction(over: number, under: number): Rational {
  const divisor = greatestCommonDivisor(over, under);
  return { over: over / divisor, under: under / divisor };
}

export const times = (a: Rational, b: Rational): Rational => fraction(a.over * b.over, a.under * b.under);

export const isSame = (a: Rational, b: Rational): boolean => a.over === b.over && a.under === b.under;
