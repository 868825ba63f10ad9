import type { core, ZodError } from 'zod';

type Issue = core.$ZodIssue;

/** The first thing that is wrong with parsed data, in one line: `settings.tiles[0].side: Invalid input: expected number`. */
export function issueOf({ issues: [first] }: ZodError): string {
  const { path, message } = detailOf(first!);
  const place = path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
  return place === '' ? message : `${place}: ${message}`;
}

type Detail = Pick<Issue, 'path' | 'message'>;

/**
 * Where data may be one of several things, what is wrong with it as that which it is most likely meant to be: such as a step
 * of that name, of whose members the fewest are wrong. Zod says no more of a union than that nothing of it fits.
 */
function detailOf(issue: Issue): Detail {
  if (issue.code !== 'invalid_union') return issue;
  const meant = issue.errors.filter((issues) => !issues.some(isOfAnotherKind));
  if (meant.length === 0) return issue;
  const named = meant.filter((issues) => !issues.some(isOtherName));
  if (named.length === 0)
    return { ...namesOf(meant), path: [...issue.path, ...meant[0]!.find(isOtherName)!.path] };
  const [nearest] = named.toSorted((a, b) => a.length - b.length);
  const { path, message } = detailOf(nearest![0]!);
  return { message, path: [...issue.path, ...path] };
}

/** Whether data is a text where an object is expected, or the like. */
const isOfAnotherKind = ({ code, path }: Issue): boolean =>
  path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');

/** Whether a member that tells alternatives apart, such as `step`, of which each has one value, names another one. */
const isOtherName = (issue: Issue): boolean =>
  issue.code === 'invalid_value' && issue.path.length === 1 && issue.values.length === 1;

function namesOf(alternatives: readonly (readonly Issue[])[]): Pick<Issue, 'message'> {
  const values = alternatives.flatMap((issues) =>
    issues.flatMap((issue) => (issue.code === 'invalid_value' && isOtherName(issue) ? issue.values : [])),
  );
  const names = [...new Set(values)].map((value) => JSON.stringify(value));
  return { message: `expected one of ${names.join(', ')}` };
}
