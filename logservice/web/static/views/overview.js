// What was used: figures, a chart over time, who used most, and the newest rows. Everything clicked filters everything.

import { read } from "../api.js";
import { barChart } from "../chart.js";
import { FEW, possibleColumns } from "../columns.js";
import { element, fill, segments, select } from "../dom.js";
import { filterBar, isFiltered, queryOf, withoutFilters } from "../filters.js";
import { amount, percent, price, short, shortAmount, whole, ZONE } from "../format.js";
import { amended, fragmentOf } from "../fragment.js";
import { t } from "../i18n.js";
import { fittingInterval, INTERVALS, rangeOf, usualInterval } from "../ranges.js";
import { counts, isNamed, MEASURES, MOST_SERIES, seriesOf } from "../series.js";
import { isAdmin } from "../session.js";
import { emptyLog, nothingFound, settle } from "../states.js";
import { rowTable } from "../table.js";
import { topList } from "../toplist.js";

/**
 * What usage can be told apart by, each with the filter that a click on a name sets. People are slow to add up: the log
 * keeps sums of the whole site by all the others.
 */
const GROUPS = [
  { group: "model_name", filter: "model_name" },
  { group: "username", filter: "username", admin: true, slow: true },
  { group: "token_name", filter: "token_name", slow: true },
  { group: "channel_id", filter: "channel", admin: true },
  { group: "group", filter: "group" },
];
const ERROR = "4";
const NEWEST = 10;
const MOST_LISTS = 4;
/** Groups times intervals up to which one question is asked for a chart; more are asked for one by one. */
const MOST_SUMS = 4000;

export function openOverview(main, { go }) {
  let params = {};
  let drawn = null;
  const bar = filterBar(go);
  const places = Object.fromEntries(["figures", "chart", "top", "newest"].map((name) => [name, element("div", { class: `place place-${name}` })]));
  const lists = groups().slice(0, MOST_LISTS).map((one) => ({ ...one, place: element("div", { class: "place" }) }));
  fill(places.top, lists.map(({ place }) => place));
  const controls = element("div", { class: "chart-controls" });
  const chart = element("section", { class: "panel chart-panel", "aria-label": t("overview.chart") }, controls, places.chart);
  const newest = element("section", {}, element("h2", {}, t("overview.newest")), places.newest);
  const lower = element("div", { class: "side-by-side" }, chart, places.top);
  fill(main, element("h1", { class: "hidden" }, t("view.overview")), bar.node, places.figures, lower, newest);

  const filter = (values) => go(amended(values));
  const update = async (given, signal) => {
    params = given;
    bar.update(params);
    const ask = asker(params, signal);
    const control = (interval) => fill(controls, chartControls({ ...params, interval }, filter));
    control(choices(params).interval);
    // What failed once may have failed everywhere.
    const put = (place, load) => settle(place, load, signal, () => update(params, signal));
    const keep = (made) => {
      drawn?.close();
      drawn = made;
    };
    const list = ({ place, ...one }) => put(place, () => listOf(one, ask, params, filter));
    // What stands in those that come later is not what was asked for either.
    for (const { slow, place } of lists) if (slow) place.setAttribute("aria-busy", "true");
    await Promise.all([
      put(places.figures, () => figures(ask, params.type)),
      put(places.chart, () => usageChart(ask, params, { filter, keep, control })),
      put(places.newest, () => newestRows(params, ask, { filter, go })),
      ...lists.filter((one) => !one.slow).map(list),
    ]);
    // They would only keep the others waiting.
    if (!signal.aborted) lists.filter((one) => one.slow).forEach(list);
  };
  return { update, close: () => drawn?.close() };
}

/** What the caller can tell usage apart by. */
function groups() {
  return GROUPS.filter((one) => isAdmin() || !one.admin);
}

/** Ask under the filters of the view, once for each question however many parts need the answer. */
function asker(params, signal) {
  const answers = new Map();
  const query = queryOf(params);
  return (path, more = {}) => {
    const name = JSON.stringify([path, more]);
    if (!answers.has(name)) answers.set(name, read(path, { ...query, ...more }, signal));
    return answers.get(name);
  };
}

function choices(params) {
  const group = groups().find((one) => one.group === params.by) ?? GROUPS[0];
  const measures = Object.keys(MEASURES).filter((name) => counts(name, params.type));
  const measure = measures.find((name) => name === params.measure) ?? (params.type === ERROR ? "errors" : "cost");
  const range = rangeOf(params);
  const interval = INTERVALS.includes(params.interval) ? params.interval : usualInterval(range);
  return { group, measures, measure, interval, range };
}

/** Return the interval of the bars; of an open range it depends on the oldest usage how many there would be. */
async function barInterval(ask, params) {
  const { interval, range } = choices(params);
  if (interval === "week" || range.start !== 0) return fittingInterval(interval, range);
  const { items } = await ask("usage", { interval: "week", timezone: ZONE });
  return items.length === 0 ? interval : fittingInterval(interval, { ...range, start: items[0].start });
}

function chartControls(params, filter) {
  const { group, measure, interval, ...found } = choices(params);
  const measures = found.measures.map((name) => [name, t(`measure.${name}`)]);
  const dimensions = groups().map((one) => [one.group, t(`by.${one.group}`)]);
  const intervals = INTERVALS.map((name) => [name, t(`interval.${name}`)]);
  return [
    segments(t("overview.measure"), measures, measure, (chosen) => filter({ measure: chosen })),
    select(dimensions, group.group, (chosen) => filter({ by: chosen }), { "aria-label": t("overview.by"), id: "by" }),
    segments(t("overview.interval"), intervals, interval, (chosen) => filter({ interval: chosen })),
  ];
}

async function figures(ask, type) {
  const found = await ask("stat");
  const tokens = found.prompt_tokens + found.completion_tokens;
  const share = found.requests === 0 ? "" : t("figure.share", { share: percent(found.errors, found.requests) });
  const cached = found.prompt_tokens === 0 ? "" : t("figure.cached", { share: percent(found.cached_tokens, found.prompt_tokens) });
  const made = [
    ["cost", amount(found.quota), t("figure.quota", { quota: short(found.quota) }), found.quota],
    ["requests", short(found.requests), "", found.requests],
    ["errors", short(found.errors), share, found.errors],
    ["tokens", short(tokens), cached, tokens],
    ["rpm", short(found.rpm), t("figure.minute"), found.rpm],
    ["tpm", short(found.tpm), t("figure.minute"), found.tpm],
  ];
  return element("dl", { class: "figures" }, made.filter(([name]) => counts(name, type)).map(figure));
}

function figure([name, value, more, exact]) {
  const label = element("dt", {}, t(`figure.${name}`));
  const kind = `figure figure-${name}${exact === 0 ? " figure-none" : ""}`;
  return element("div", { class: kind }, label, element("dd", { title: whole(exact) }, value), element("dd", { class: "minor" }, more));
}

async function usageChart(ask, params, { filter, keep, control }) {
  const { group, measure, range, ...asked } = choices(params);
  const interval = await barInterval(ask, params);
  if (interval !== asked.interval) control(interval);
  const items = await chartItems(ask, { group: group.group, interval, measure });
  const data = seriesOf(items, { group: group.group, measure, interval, range });
  if (data.series.length === 0) {
    keep(null);
    return element("p", { class: "notice chart-empty" }, t("chart.empty"));
  }
  const made = barChart(data, {
    interval,
    title: t("overview.chart"),
    format: measure === "cost" ? amount : whole,
    formatShort: measure === "cost" ? shortAmount : short,
    label: (name) => groupLabel(name),
    filter: (name) => filter({ [group.filter]: name }),
    choose: (start, end) => filter({ range: "custom", start, end, interval: "" }),
  });
  keep(made);
  return made.node;
}

/**
 * Return usage by interval and group. Of many groups only the largest are asked for, and the sum of all, from which
 * those of the others follow; otherwise an hour's worth of answers would be asked for to draw eight colours.
 */
async function chartItems(ask, { group, interval, measure }) {
  const shape = { interval, timezone: ZONE };
  const [{ items }, all] = await Promise.all([ask("usage", { group_by: group }), ask("usage", shape)]);
  if (items.length * all.items.length <= MOST_SUMS) return (await ask("usage", { ...shape, group_by: group })).items;
  const value = MEASURES[measure];
  const filterName = GROUPS.find((one) => one.group === group).filter;
  const named = items.filter((item) => isNamed(item[group]));
  const largest = named.sort((one, other) => value(other) - value(one)).slice(0, MOST_SERIES);
  const askFor = async (name) => {
    const answer = await ask("usage", { ...shape, group_by: group, [filterName]: name });
    // A name with % in it is a pattern to the API, and may find others as well.
    return answer.items.filter((item) => item[group] === name);
  };
  const known = (await Promise.all(largest.map((item) => askFor(item[group])))).flat();
  return [...known, ...rest(all.items, known, group)];
}

/** The usage of all others: the sum of all without what is known, which may have grown since. Its name is null. */
function rest(all, known, group) {
  const left = new Map(all.map((item) => [item.start, { ...item, [group]: null }]));
  for (const item of known) {
    const others = left.get(item.start) ?? {};
    for (const field of ["quota", "requests", "errors", "prompt_tokens", "completion_tokens"]) {
      others[field] = Math.max(0, others[field] - item[field]);
    }
  }
  return [...left.values()];
}

function groupLabel(name) {
  if (name === null) return t("chart.others");
  return isNamed(name) ? String(name) : t("chart.unnamed");
}

async function listOf({ group, filter: name }, ask, params, filter) {
  const { measure } = choices(params);
  const { items } = await ask("usage", { group_by: group });
  return topList({
    title: t(`by.${group}`),
    items: items.map((item) => ({ name: item[group], value: MEASURES[measure](item) })),
    format: measure === "cost" ? amount : short,
    label: groupLabel,
    filter: (value) => filter({ [name]: value }),
  });
}

async function newestRows(params, ask, { filter, go }) {
  const { items, total } = await ask("", { page_size: NEWEST });
  if (total === 0) return isFiltered(params) ? emptyOrFiltered(params, go) : emptyLog();
  const table = rowTable(possibleColumns().filter((column) => FEW.includes(column.key)), { filter });
  table.show(items);
  const { measure: _, by: __, interval: ___, ...rest } = params;
  const link = element("a", { class: "all", href: fragmentOf("logs", rest) }, t("overview.all", { total: whole(total) }));
  return [table.node, link];
}

/** A log without a single row is empty whatever the filters say. */
async function emptyOrFiltered(params, go) {
  const { total } = await read("", { page_size: 1 });
  return total === 0 ? emptyLog() : nothingFound(() => go(withoutFilters(params)));
}
