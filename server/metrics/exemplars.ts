import type { Counter, Histogram, LabelValues } from 'prom-client';

/** Labels of an exemplar: ids that the server made, never text of a client. */
export interface Exemplar {
  readonly job_id: string;
  /** Id of the job's trace, if it is recorded. */
  readonly trace_id?: string;
}

/** Observes a value, with the job that it is of; null where it is of none. */
export function observe<Label extends string>(
  histogram: Histogram<Label>,
  labels: LabelValues<Label>,
  value: number,
  exemplar: Exemplar | null,
): void {
  // prom-client's types have the labels of a metric for those of its exemplars, which are others
  const exemplarLabels = (exemplar ?? {}) as LabelValues<Label>;
  histogram.observe({ labels, value, exemplarLabels });
}

/** Counts an event of a job. */
export function count<Label extends string>(
  counter: Counter<Label>,
  labels: LabelValues<Label>,
  exemplar: Exemplar,
): void {
  counter.inc({ labels, value: 1, exemplarLabels: exemplar as LabelValues<Label> });
}
