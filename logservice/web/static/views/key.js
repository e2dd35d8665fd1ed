// The newest rows of a key, for whoever holds it. The route answers the oldest first; here the newest are.

import { readByKey } from "../api.js";
import { chosenColumns, costOf, possibleColumns } from "../columns.js";
import { button, element, fill } from "../dom.js";
import { whole } from "../format.js";
import { t } from "../i18n.js";
import { pager } from "../pager.js";
import { settle } from "../states.js";
import { rowTable } from "../table.js";

const PAGE_SIZE = 50;

export function openKey(main, { key, leave }) {
  const rows = element("div", { class: "place" });
  const back = button(t("key.another"), leave, { class: "small" });
  const title = element("div", { class: "title" }, element("h1", {}, t("view.key")), back);
  fill(main, title, rows);
  const update = (_, signal) => settle(rows, () => load(key, signal), signal);
  return { update };
}

async function load(key, signal) {
  const found = (await readByKey(key, {}, signal)).reverse();
  if (found.length === 0) return element("p", { class: "notice" }, t("key.empty"));
  const figures = t("key.summary", { rows: whole(found.length), cost: costOf(found) });
  const table = rowTable(columns());
  const pages = element("div");
  const turn = (page) => {
    table.show(found.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE));
    fill(pages, pager({ page, pageSize: PAGE_SIZE, total: found.length }, turn));
  };
  turn(1);
  return [element("p", { class: "summary" }, figures), table.node, pages];
}

function columns() {
  const chosen = chosenColumns();
  return possibleColumns({ byKey: true }).filter((column) => chosen.includes(column.key));
}
