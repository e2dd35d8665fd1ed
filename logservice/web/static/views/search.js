// The newest rows that a keyword finds, with the keyword marked in them.

import { read } from "../api.js";
import { chosenColumns, possibleColumns } from "../columns.js";
import { button, element, fill } from "../dom.js";
import { filterBar, queryOf } from "../filters.js";
import { whole } from "../format.js";
import { t } from "../i18n.js";
import { marker } from "../marks.js";
import { settle } from "../states.js";
import { rowTable } from "../table.js";

const LIMIT = 100;
/** Without its text a row does not show why it was found. */
const NEEDED = ["model", "detail"];

export function openSearch(main, { go }) {
  let params = {};
  const input = element("input", { type: "search", id: "keyword", autocomplete: "off", placeholder: t("search.placeholder"), "aria-label": t("search.keyword") });
  const send = element("button", { type: "submit", class: "primary" }, t("view.search"));
  const submit = (event) => {
    event.preventDefault();
    go({ ...params, keyword: input.value.trim() });
  };
  const form = element("form", { class: "line search", role: "search", on: { submit } }, input, send);
  const bar = filterBar(go);
  const found = element("div", { class: "place" });
  fill(main, element("h1", { class: "hidden" }, t("view.search")), form, bar.node, found);
  input.focus();
  const update = (given, signal) => {
    params = given;
    bar.update(params);
    input.value = params.keyword ?? "";
    if (!params.keyword) return fill(found, element("p", { class: "notice" }, t("search.hint")));
    const filter = (values) => go({ ...params, ...values });
    settle(found, () => results(params, filter, signal), signal);
  };
  return { update };
}

async function results(params, filter, signal) {
  const rows = await search(params, {}, signal);
  if (rows.length === 0) return element("p", { class: "notice" }, t("search.nothing", { keyword: params.keyword }));
  const chosen = [...chosenColumns(), ...NEEDED];
  const columns = possibleColumns().filter((column) => chosen.includes(column.key));
  const table = rowTable(columns, { filter, mark: marker(params.keyword) });
  table.show(rows);
  const summary = element("p", { class: "summary", role: "status" }, countOf(rows.length));
  return [summary, table.node, older(table, rows, { params, summary, signal })];
}

function search(params, more, signal) {
  return read("search", { ...queryOf(params), keyword: params.keyword, page_size: LIMIT, ...more }, signal);
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
