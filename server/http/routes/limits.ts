import { allows } from '../../access/principal.js';
import { LIMITS, type LimitName } from '../../contract/limits.js';
import { problemOf } from '../../contract/problems.js';
import type { LimitsView } from '../../contract/schemas/limits.js';
import type { LimitsDependencies, Used } from '../dependencies.js';
import type { Operate } from '../operate.js';
import { principalOf } from '../principal.js';

/** `GET /v1/limits`: every limit that a client can exceed, with its error. */
export function limitsRoute(operate: Operate, { values, usedBy, used }: LimitsDependencies): void {
  operate('getLimits', (request, response) => {
    const caller = principalOf(request);
    const inUse: Used = { ...usedBy(caller.id), ...(allows(caller, 'admin') && used()) };
    const limits = (Object.keys(LIMITS) as LimitName[]).map((name) => {
      const { what, per, unit, code, setting } = LIMITS[name];
      const { status } = problemOf(code);
      return { name, what, per, unit, value: values[name], used: inUse[name] ?? null, code, status, setting };
    });
    response.json({ limits } satisfies LimitsView);
  });
}
