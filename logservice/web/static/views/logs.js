// All rows that filters leave, page by page, or as they come in.

import { read } from "../api.js";
import { chosenColumns, possibleColumns } from "../columns.js";
import { columnChoice } from "../columnchoice.js";
import { button, element, fill, select } from "../dom.js";
import { openExport } from "../export.js";
import { filterBar, isFiltered, queryOf, withoutFilters } from "../filters.js";
import { amended } from "../fragment.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { liveRows } from "../live.js";
import { pager } from "../pager.js";
import { emptyLog, nothingFound, settle } from "../states.js";
import { rowTable } from "../table.js";

const SIZES = [20, 50, 100];
const USUAL_SIZE = 50;

export function openLogs(main, { go }) {
  let params = {};
  let live = null;
  let aborter = new AbortController();
  const bar = filterBar(go);
  const actions = element("div", { class: "actions" });
  const rows = element("div", { class: "place place-rows" });
  fill(main, element("h1", { class: "hidden" }, t("view.logs")), bar.node, actions, rows);
  const filter = (values) => go(amended({ ...values, p: "" }));
  const stop = () => {
    aborter.abort();
    live?.close();
    live = null;
  };
  /** Whatever is to be drawn anew, what was there stops looking for more. */
  const draw = () => {
    stop();
    aborter = new AbortController();
    const { signal } = aborter;
    settle(rows, () => list(params, signal, { filter, go, started: (made) => (live = made) }), signal);
  };
  const update = (given) => {
    params = given;
    bar.update(params);
    fill(actions, controls(params, go, draw));
    draw();
  };
  return { update, close: stop };
}

function controls(params, go, redraw) {
  const isLive = params.live === "1";
  const live = button([element("i", { class: "pulse" }), t("logs.live")], () => go(amended({ live: isLive ? "" : "1", p: "" })), {
    class: "small live",
    "aria-pressed": String(isLive),
  });
  const sizes = SIZES.map((size) => [String(size), t("logs.size", { size })]);
  const size = select(sizes, String(sizeOf(params)), (chosen) => go(amended({ size: chosen, p: "" })), { "aria-label": t("logs.sizes") });
  const save = button([icon("save"), t("export.title")], () => openExport(amended({})), { class: "small" });
  return [live, columnChoice(redraw), size, save];
}

function sizeOf(params) {
  const asked = Number(params.size);
  return SIZES.includes(asked) ? asked : USUAL_SIZE;
}

async function list(params, signal, { filter, go, started }) {
  const isLive = params.live === "1";
  const query = { ...queryOf(params), page_size: sizeOf(params) };
  const asked = isLive ? 1 : Math.max(1, Math.min(Number.MAX_SAFE_INTEGER, Math.floor(Number(params.p)) || 1));
  const { page, ...found } = await existingPage(query, asked, signal);
  if (found.total === 0 && !isLive) return nothing(params, go, signal);
  const chosen = chosenColumns();
  const table = rowTable(possibleColumns().filter((column) => chosen.includes(column.key)), { filter });
  table.show(found.items);
  if (isLive) {
    const made = liveRows(table, found, { query, signal });
    started(made);
    return [made.node, table.node];
  }
  const turn = (number) => {
    go(amended({ p: number === 1 ? "" : number }));
    scrollTo({ top: 0 });
  };
  const pages = { page, pageSize: found.page_size, total: found.total };
  return [pager(pages, turn), table.node, pager({ ...pages, isBelow: true }, turn)];
}

/** Ask for a page, or for the last one if it lies beyond that. */
async function existingPage(query, page, signal) {
  const found = await read("", { ...query, p: page }, signal);
  const last = Math.max(1, Math.ceil(found.total / found.page_size));
  return page <= last ? found : read("", { ...query, p: last }, signal);
}

async function nothing(params, go, signal) {
  if (!isFiltered(params)) return emptyLog();
  const { total } = await read("", { page_size: 1 }, signal);
  return total === 0 ? emptyLog() : nothingFound(() => go(withoutFilters(params)));
}
