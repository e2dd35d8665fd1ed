// The newest rows that a keyword finds, with the keyword marked in them.

import { read } from "../api.js";
import { chosenColumns, possibleColumns } from "../columns.js";
import { button, element, fill } from "../dom.js";
import { filterBar, queryOf } from "../filters.js";
import { typeChoices, typeName, whole } from "../format.js";
import { amended } from "../fragment.js";
import { t } from "../i18n.js";
import { marker } from "../marks.js";
import { settle } from "../states.js";
import { rowTable } from "../table.js";

const LIMIT = 100;
/** These show why a row was found, so they come first, and are there even if they were put away. */
const FIRST = ["time", "detail", "model"];
const FIRST_OF_TYPE = ["time", "type", "detail"];

export function openSearch(main, { go }) {
  const input = element("input", { type: "search", id: "keyword", autocomplete: "off", placeholder: t("search.placeholder"), "aria-label": t("search.keyword") });
  const send = element("button", { type: "submit", class: "primary" }, t("view.search"));
  const submit = (event) => {
    event.preventDefault();
    go(amended({ keyword: input.value.trim() }));
  };
  const form = element("form", { class: "line search", role: "search", on: { submit } }, input, send);
  // What was typed and not sent yet goes along.
  const bar = filterBar((changed) => go({ ...changed, keyword: input.value.trim() }));
  const found = element("div", { class: "place" });
  fill(main, element("h1", { class: "hidden" }, t("view.search")), form, bar.node, found);
  input.focus();
  const update = (params, signal) => {
    bar.update(params);
    input.value = params.keyword ?? "";
    const filter = (values) => go(amended(values));
    const hint = element("p", { class: "notice" }, t("search.hint"));
    settle(found, () => (params.keyword ? results(params, filter, signal) : hint), signal);
  };
  return { update };
}

async function results(params, filter, signal) {
  const rows = await search(params, {}, signal);
  if (rows.length === 0) return element("p", { class: "notice" }, t("search.nothing", { keyword: params.keyword }));
  const type = typeOf(params.keyword);
  const mark = type === null ? marker(params.keyword) : undefined;
  const table = rowTable(columns(type !== null), { filter, mark });
  table.show(rows);
  const summary = element("p", { class: "summary", role: "status" }, countOf(rows.length));
  return [summary, table.node, older(table, rows, { params, summary, signal })];
}

/** Return the columns, those that explain first; rows that were found by their type have that marked. */
function columns(byType) {
  const first = byType ? FIRST_OF_TYPE : FIRST;
  const possible = possibleColumns();
  const explaining = first.map((key) => possible.find((column) => column.key === key));
  const others = possible.filter(({ key }) => chosenColumns().includes(key) && !first.includes(key));
  const marked = (column) => ({ ...column, cell: (row) => element("mark", {}, column.cell(row)) });
  return [...explaining, ...others].map((column) => (byType && column.key === "type" ? marked(column) : column));
}

/** Return the number of the type that a keyword is, as people read it here or as the API knows it, or null. */
function typeOf(keyword) {
  const wanted = keyword.toLowerCase();
  const found = typeChoices().find(([number, label]) => [number, label.toLowerCase(), typeName(number)].includes(wanted));
  return found?.[0] ?? null;
}

function search(params, more, signal) {
  const keyword = typeOf(params.keyword) ?? params.keyword;
  return read("search", { ...queryOf(params), keyword, page_size: LIMIT, ...more }, signal);
}

function countOf(count) {
  return t(count % LIMIT === 0 ? "search.newest" : "search.found", { count: whole(count) });
}

/** A button that adds the next older rows; it goes when there are none. */
function older(table, rows, { params, summary, signal }) {
  const place = element("div", { class: "more-rows" });
  if (rows.length < LIMIT) return place;
  const add = async () => {
    const more = await search(params, { before: rows.at(-1).id }, signal);
    rows.push(...more);
    table.body.append(...more.map(table.make));
    fill(summary, countOf(rows.length));
    return more.length < LIMIT ? [] : offer();
  };
  const offer = () => button(t("search.older"), () => settle(place, add, signal), { class: "small" });
  fill(place, offer());
  return place;
}
