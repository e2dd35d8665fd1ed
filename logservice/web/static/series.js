// Usage by interval and group, as the series of a stacked chart: the largest groups, and all others as one.

import { beginnings } from "./ranges.js";

/** More would have colours that nobody tells apart. */
export const MOST_SERIES = 7;

/** What bars can measure, by the fields of usage. */
export const MEASURES = {
  cost: (item) => item.quota,
  requests: (item) => item.requests,
  tokens: (item) => item.prompt_tokens + item.completion_tokens,
  errors: (item) => item.errors,
};

/** Requests and errors are counted whatever the filter says of the type: the types under which they say something. */
const TYPES = { requests: ["", "2"], errors: ["", "2", "4"] };

/** The name that the API knows a measure by when it compares groups. */
export const sizeOf = (measure) => (measure === "cost" ? "quota" : measure);

/** Return whether a figure or measure is about the rows that are left by a filter for their type. */
export function counts(name, type = "") {
  return TYPES[name]?.includes(type) ?? true;
}

/** Return whether a name can be filtered by: all others have none, and some usage has none either. */
export function isNamed(name) {
  return name !== null && name !== "" && name !== 0;
}

/** Return {starts, series}: a series is {name, values}, the largest first; the name of all others is null. */
export function seriesOf(items, { group, measure, interval, range }) {
  const totals = totalsOf(items, { group, measure });
  const named = [...totals].filter(([name]) => name !== null).sort(([, one], [, other]) => other - one);
  const names = [...named.map(([name]) => name), null];
  const places = new Map(names.map((name, place) => [name, place]));
  const starts = startsOf(items, interval, range);
  const positions = new Map(starts.map((start, position) => [start, position]));
  const series = names.map((name) => ({ name, values: new Array(starts.length).fill(0) }));
  for (const item of items) {
    series[places.get(item[group])].values[positions.get(item.start)] += MEASURES[measure](item);
  }
  return { starts, series: series.filter(({ values }) => values.some((value) => value !== 0)) };
}

/** Return the sums of all intervals, by the name of the group. */
export function totalsOf(items, { group, measure }) {
  const totals = new Map();
  for (const item of items) totals.set(item[group], (totals.get(item[group]) ?? 0) + MEASURES[measure](item));
  return totals;
}

/** All intervals of the range, also those without usage; an open end begins with the oldest, or ends with the newest. */
function startsOf(items, interval, { start, end }) {
  const known = [...new Set(items.map((item) => item.start))].sort((one, other) => one - other);
  const now = Math.floor(Date.now() / 1000);
  const first = start || Math.min(known[0] ?? now, now);
  const last = Math.max(end ? Math.min(end, now) : now, known.at(-1) ?? 0);
  const regular = beginnings(interval, first, last);
  return [...new Set([...regular, ...known])].sort((one, other) => one - other);
}
