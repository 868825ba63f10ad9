/** The class with the greatest probability of each pixel, the lowest of equals; as the network's own labels are. */
export function argMax(probabilities: Float32Array, classes: number): Uint8Array {
  const labels = new Uint8Array(probabilities.length / classes);
  for (let at = 0; at < labels.length; at++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if (probabilities[at * classes + c]! > probabilities[at * classes + best]!) best = c;
    }
    labels[at] = best;
  }
  return labels;
}
