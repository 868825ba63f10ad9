/** The scores of a cross-validation as a plain-text table: each fold, then mean and standard deviation. */
export function foldTable(folds: readonly Readonly<Record<string, number>>[]): string {
  const names = Object.keys(folds[0] ?? {});
  const column = (name: string) => folds.map((scores) => scores[name]!);
  const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  const deviation = (values: readonly number[]) => {
    const average = mean(values);
    return Math.sqrt(values.reduce((sum, x) => sum + (x - average) ** 2, 0) / Math.max(1, values.length - 1));
  };
  const width = (name: string) => Math.max(8, name.length) + 2;
  const line = (title: string, value: (name: string) => string) =>
    title.padEnd(8) + names.map((name) => value(name).padStart(width(name))).join('');
  return [
    line('fold', (name) => name),
    ...folds.map((scores, k) => line(String(k + 1), (name) => scores[name]!.toFixed(4))),
    line('mean', (name) => mean(column(name)).toFixed(4)),
    line('sd', (name) => deviation(column(name)).toFixed(4)),
  ].join('\n');
}
