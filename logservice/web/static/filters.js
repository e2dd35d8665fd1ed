// The filters of the API as a bar above what they leave, and as parameters of a view.

import { read } from "./api.js";
import { button, element, fill, segments, select } from "./dom.js";
import { clock, day, typeChoices, typeLabel } from "./format.js";
import { amended } from "./fragment.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { RANGES, rangeOf, USUAL_RANGE } from "./ranges.js";
import { isAdmin } from "./session.js";

/** Texts that can be filtered by, those of administrators marked, and what usage groups them by, if it does. */
const TEXTS = [
  { name: "model_name", group: "model_name" },
  { name: "username", group: "username", admin: true },
  { name: "token_name", group: "token_name" },
  { name: "channel", group: "channel_id", admin: true, numeric: true },
  { name: "group", group: "group" },
  { name: "ip", admin: true },
  { name: "request_id" },
];
const NAMES = ["type", ...TEXTS.map((text) => text.name)];
const KEPT = "logservice.filters";
/** Names that are offered; more would only make the browser slow. */
const MOST_SUGGESTIONS = 500;

/** The texts that the caller can filter by. A link may come from somebody who can filter by more. */
function ownTexts() {
  return TEXTS.filter((text) => isAdmin() || !text.admin);
}

function ownNames() {
  return ["type", ...ownTexts().map((text) => text.name)];
}

/** Return the query that the parameters of a view stand for. */
export function queryOf(params) {
  const { start, end } = rangeOf(params);
  const query = Object.fromEntries(ownNames().map((name) => [name, params[name] ?? ""]));
  return { ...query, start_timestamp: start || "", end_timestamp: end || "" };
}

/** Return whether anything but the usual range is asked for. */
export function isFiltered(params) {
  return ownNames().some((name) => params[name]) || (params.range ?? USUAL_RANGE) !== "all";
}

/** Return the parameters that show everything. */
export function withoutFilters(params) {
  const rest = Object.entries(params).filter(([name]) => !NAMES.includes(name) && name !== "p");
  return { ...Object.fromEntries(rest), range: "all", start: "", end: "" };
}

/** Make the bar. `change(params)` is called with what was chosen; `update(params)` shows what is. */
export function filterBar(change) {
  let shown = {};
  const set = (values) => change(amended({ ...values, p: "" }));
  const quick = element("div");
  const from = timeField(t("range.from"), (second) => set({ start: second }));
  const to = timeField(t("range.to"), (second) => set({ end: second }));
  const custom = element("div", { class: "custom" }, from.node, to.node);
  const reversed = element("p", { class: "wrong", role: "alert" });
  const ranges = element("div", { class: "ranges" }, quick, custom, reversed);
  const fields = ownTexts().map((text) => field(text, set, () => shown));
  const type = element("label", { class: "field" });
  const chips = element("div", { class: "chips" });
  const more = element(
    "details",
    { class: "more", open: isUnfolded(), on: { toggle: (event) => localStorage.setItem(KEPT, event.target.open ? "1" : "0") } },
    element("summary", {}, t("filter.title")),
    element("div", { class: "fields" }, type, ...fields.map((made) => made.node)),
  );
  const node = element("section", { class: "filters", "aria-label": t("filter.title") }, ranges, chips, more);
  const update = (params) => {
    shown = params;
    const { start, end } = rangeOf(params);
    fill(quick, quickRanges(params, set));
    custom.hidden = params.range !== "custom";
    from.update(start);
    to.update(end);
    reversed.textContent = end !== 0 && start > end ? t("range.reversed") : "";
    fill(type, typeField(params, set));
    fill(chips, chipsOf(params, set));
    for (const made of fields) made.update(params);
  };
  return { node, update };
}

/** The fields are there at first where there is room for them, and later as they were left. */
function isUnfolded() {
  return (localStorage.getItem(KEPT) ?? (matchMedia("(min-width: 900px)").matches ? "1" : "0")) === "1";
}

function quickRanges(params, set) {
  const chosen = params.range ?? USUAL_RANGE;
  const choices = RANGES.map((range) => [range, t(`range.${range}`)]);
  const choose = (range) => set(range === "custom" ? customStart(params) : { range, start: "", end: "" });
  return segments(t("range.title"), choices, chosen, choose);
}

/** A custom range begins with what was looked at before. */
function customStart(params) {
  const { start } = rangeOf(params);
  return { range: "custom", start: start || rangeOf({ range: "30d" }).start, end: Math.floor(Date.now() / 1000) };
}

/** Make a field for a moment. It counts when it is left, or by Enter: each digit of a date makes another, valid date. */
function timeField(label, choose) {
  let shown = "";
  const commit = () => {
    if (input.value === shown || input.validity.badInput) return;
    choose(input.value ? Math.floor(new Date(input.value) / 1000) : "");
  };
  const enter = (event) => event.key === "Enter" && commit();
  const input = element("input", { type: "datetime-local", step: "1", on: { blur: commit, keydown: enter } });
  const update = (second) => {
    const value = second === 0 ? "" : `${day(second)}T${clock(second)}`;
    if (value !== shown) input.value = value;
    shown = value;
  };
  return { node: element("label", { class: "field time" }, element("span", {}, label), input), update };
}

function typeField(params, set) {
  const choices = [["", t("type.all")], ...typeChoices()];
  const choice = select(choices, params.type ?? "", (type) => set({ type }));
  return [element("span", {}, t("filter.type")), choice];
}

function chipsOf(params, set) {
  const active = ownNames().filter((name) => params[name]);
  const made = active.map((name) => {
    const value = name === "type" ? typeLabel(params.type) : params[name];
    const text = `${t(`filter.${name}`)}: ${value}`;
    const remove = t("filter.remove", { filter: text });
    return button([text, icon("close")], () => set({ [name]: "" }), { class: "chip", "aria-label": remove });
  });
  const none = Object.fromEntries(NAMES.map((name) => [name, ""]));
  if (made.length > 1) made.push(button(t("filter.clear"), () => set(none), { class: "link" }));
  return made;
}

/** Make a field for a text. Names are asked for when the field is entered for the first time in a range. */
function field({ name, group, numeric }, set, current) {
  const list = element("datalist", { id: `suggest-${name}` });
  const input = element("input", {
    name,
    type: "text",
    inputmode: numeric ? "numeric" : null,
    autocomplete: "off",
    spellcheck: "false",
    list: group ? list.id : null,
    on: {
      change: () => set({ [name]: input.value.trim() }),
      focus: () => group && suggest(list, group, current()),
    },
  });
  const node = element("label", { class: "field" }, element("span", {}, t(`filter.${name}`)), input, list);
  const update = (params) => {
    if (document.activeElement !== input || input.value.trim() !== (params[name] ?? "")) {
      input.value = params[name] ?? "";
    }
  };
  return { node, update };
}

async function suggest(list, group, params) {
  const { start, end } = rangeOf(params);
  const about = `${start} ${end}`;
  if (list.dataset.about === about) return;
  list.dataset.about = about;
  try {
    const query = { group_by: group, start_timestamp: start || "", end_timestamp: end || "" };
    const { items } = await read("usage", query);
    items.sort((one, other) => other.requests - one.requests);
    const names = items.slice(0, MOST_SUGGESTIONS).map((item) => element("option", { value: item[group] }));
    fill(list, names);
  } catch (error) {
    if (error.status === undefined) throw error;
    // A field without suggestions still takes a name; the rows below tell what is wrong.
    delete list.dataset.about;
  }
}
