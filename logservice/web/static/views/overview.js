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
import { counts, isNamed, MEASURES, MOST_SERIES, seriesOf, sizeOf, totalsOf } from "../series.js";
import { isAdmin } from "../session.js";
import { emptyLog, nothingFound, settle } from "../states.js";
import { rowTable } from "../table.js";
import { MOST, topList } from "../toplist.js";

/** What usage can be told apart by, each with the filter that a click on a name sets. */
const GROUPS = [
  { group: "model_name", filter: "model_name" },
  { group: "username", filter: "username", admin: true },
  { group: "token_name", filter: "token_name" },
  { group: "channel_id", filter: "channel", admin: true },
  { group: "group", filter: "group" },
];
const ERROR = "4";
const NEWEST = 10;
const MOST_LISTS = 4;

export function openOverview(main, { go }) {
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
  const update = async (params, signal) => {
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
    await Promise.all([
      put(places.figures, () => figures(ask, params.type)),
      put(places.chart, () => usageChart(ask, params, { filter, keep, control })),
      put(places.newest, () => newestRows(params, ask, { filter, go })),
      ...lists.map(list),
    ]);
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
  const { items } = await chartUsage(ask, params);
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

/** Return usage by interval of the largest groups, and of all others: more have no colours of their own. */
async function chartUsage(ask, params) {
  const { group, measure } = choices(params);
  const interval = await barInterval(ask, params);
  return ask("usage", { group_by: group.group, interval, timezone: ZONE, top: MOST_SERIES, top_by: sizeOf(measure) });
}

function groupLabel(name) {
  if (name === null) return t("chart.others");
  return isNamed(name) ? String(name) : t("chart.unnamed");
}

async function listOf({ group, filter: name }, ask, params, filter) {
  const { group: shown, measure } = choices(params);
  // What the chart shows need not be asked for a second time.
  const charted = shown.group === group;
  const { items, groups: count } = await (charted
    ? chartUsage(ask, params)
    : ask("usage", { group_by: group, top: MOST, top_by: sizeOf(measure) }));
  const named = [...totalsOf(items, { group, measure })].filter(([known]) => known !== null);
  return topList({
    title: t(`by.${group}`),
    items: named.map(([known, value]) => ({ name: known, value })),
    // Of those that were counted some have no errors.
    count: measure === "errors" ? 0 : count,
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
