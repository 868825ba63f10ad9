import { Counter, Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { count, observe } from '../../../server/metrics/exemplars.js';
import { Exposer } from '../../../server/metrics/exposition.js';

const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

function setup() {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  const registers = [registry];
  const pauses = new Counter({
    name: 'pauses_total',
    help: 'Pauses.',
    labelNames: ['code'],
    enableExemplars: true,
    registers,
  });
  const wait = new Histogram({
    name: 'wait_seconds',
    help: 'Wait.',
    buckets: [1],
    enableExemplars: true,
    registers,
  });
  return { pauses, wait, exposer: new Exposer(registry) };
}

describe('metrics are written', () => {
  it('in either format, in any order, with the same names', async () => {
    const { pauses, exposer } = setup();
    count(pauses, { code: 'disk-full' }, { job_id: 'j1' });
    for (const _ of [1, 2]) {
      const text = await exposer.expose(undefined);
      expect(text.contentType).toBe(TEXT);
      expect(text.body).toContain('# TYPE pauses_total counter\npauses_total{code="disk-full"} 1\n');
      const open = await exposer.expose('application/openmetrics-text');
      expect(open.contentType).toBe(OPENMETRICS);
      expect(open.body).toContain(
        '# TYPE pauses counter\npauses_total{code="disk-full"} 1 # {job_id="j1"} 1 ',
      );
      expect(open.body).toMatch(/\n# EOF\n$/);
    }
  });

  it('with what was counted since, and exemplars in OpenMetrics alone', async () => {
    const { wait, exposer } = setup();
    await exposer.expose('application/openmetrics-text');
    observe(wait, {}, 0.5, { job_id: 'j1', trace_id: 't1' });
    observe(wait, {}, 0.6, null);
    expect((await exposer.expose('application/openmetrics-text')).body).toMatch(
      /wait_seconds_bucket\{le="1"\} 2 # \{job_id="j1",trace_id="t1"\} 0.5 /,
    );
    expect((await exposer.expose('')).body).toContain('wait_seconds_bucket{le="1"} 2\n');
  });

  it.each([
    // Prometheus 2 and 3
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      OPENMETRICS,
    ],
    [
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2',
      OPENMETRICS,
    ],
    ['text/plain;version=0.0.4, application/openmetrics-text;q=0.5', TEXT],
    ['*/*', TEXT],
    ['application/json', TEXT],
    ['application/openmetrics-text;q=0', TEXT],
    ['application/openmetrics-text;q=nonsense', TEXT],
  ])('as %s prefers', async (accept, contentType) => {
    expect((await setup().exposer.expose(accept)).contentType).toBe(contentType);
  });
});
