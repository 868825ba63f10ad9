import type { Random } from './random.js';

/** When something is to be sent, in ms after the start. */
export interface Arrival<Item> {
  readonly atMs: number;
  readonly item: Item;
}

/**
 * Independent arrivals (a Poisson process), as of many users who do not know of each other: gaps are distributed
 * exponentially around 1 / rate.
 * @param ratePerSecond arrivals a second on average
 * @param draw chooses what arrives
 */
export function drawArrivals<Item>(
  random: Random,
  ratePerSecond: number,
  seconds: number,
  draw: () => Item,
): Arrival<Item>[] {
  const arrivals: Arrival<Item>[] = [];
  for (let atMs = 0; ; ) {
    atMs += (-Math.log(1 - random.next()) / ratePerSecond) * 1000;
    if (atMs >= seconds * 1000) return arrivals;
    arrivals.push({ atMs, item: draw() });
  }
}
