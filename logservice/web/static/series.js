// Usage by interval and group, as the series of a stacked chart: the largest groups, and all others as one.

import { beginnings } from "./ranges.js";

/** More would have colours that nobody tells apart. */
export const MOST_SERIES = 7;

/** What bars can measure, by the fields of usage. */
export const MEASURES = {
  cost: (item) => item.quota,
  requests: (item) => item.requests,
  tokens: (item) => item.prompt_tokens + item.completion_tokens,
};

/** Return {starts, series}: a series is {name, values}, the largest first; the name of all others is null. */
export function seriesOf(items, { group, measure, interval, range }) {
  const totals = new Map();
  for (const item of items) add(totals, item[group], MEASURES[measure](item));
  const largest = [...totals].sort(([, one], [, other]) => other - one).slice(0, MOST_SERIES);
  const places = new Map(largest.map(([name], place) => [name, place]));
  const starts = startsOf(items, interval, range);
  const positions = new Map(starts.map((start, position) => [start, position]));
  const names = [...largest.map(([name]) => name), ...(totals.size > largest.length ? [null] : [])];
  const series = names.map((name) => ({ name, values: new Array(starts.length).fill(0) }));
  for (const item of items) {
    const place = places.get(item[group]) ?? largest.length;
    series[place].values[positions.get(item.start)] += MEASURES[measure](item);
  }
  return { starts, series };
}

/** All intervals of the range, also those without usage; an open end ends with the newest. */
function startsOf(items, interval, { start, end }) {
  const known = items.map((item) => item.start);
  const now = Math.floor(Date.now() / 1000);
  const first = start || Math.min(...known, now);
  const last = Math.max(end ? Math.min(end, now) : now, ...known.slice(-1));
  const regular = beginnings(interval, first, last);
  return [...new Set([...regular, ...known])].sort((one, other) => one - other);
}

function add(totals, name, value) {
  totals.set(name, (totals.get(name) ?? 0) + value);
}
