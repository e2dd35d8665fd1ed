// The rows of a key, for whoever holds it. The route answers the oldest first; here the newest are.

import { readByKey } from "../api.js";
import { chosenColumns, costOf, possibleColumns } from "../columns.js";
import { button, element, fill, segments } from "../dom.js";
import { whole } from "../format.js";
import { t } from "../i18n.js";
import { pager } from "../pager.js";
import { rangeOf } from "../ranges.js";
import { settle } from "../states.js";
import { rowTable } from "../table.js";

const PAGE_SIZE = 50;
const RANGES = ["today", "7d", "30d", "all"];

export function openKey(main, { key, go, leave }) {
  const ranges = element("div", { class: "ranges" });
  const rows = element("div", { class: "place" });
  const back = button(t("key.another"), leave, { class: "small" });
  const title = element("div", { class: "title" }, element("h1", {}, t("view.key")), back);
  fill(main, title, ranges, rows);
  const update = (params, signal) => {
    const range = RANGES.includes(params.range) ? params.range : "all";
    const choices = RANGES.map((name) => [name, t(`range.${name}`)]);
    fill(ranges, segments(t("range.title"), choices, range, (chosen) => go({ range: chosen })));
    settle(rows, () => newest(key, { start_timestamp: rangeOf({ range }).start }, signal), signal);
  };
  return { update };
}

/** Make the table. The newest rows, as many as the service gives at once, are added up; older ones come page by page. */
async function newest(key, range, signal) {
  const found = (await readByKey(key, range, signal)).reverse();
  if (found.length === 0) return element("p", { class: "notice" }, t("key.empty"));
  const ask = async (page) => (await readByKey(key, { ...range, p: page, page_size: PAGE_SIZE }, signal)).reverse();
  const pages = pagesOf(found, ask);
  const table = rowTable(columns());
  const place = element("div", { class: "place" });
  const turn = (page) => settle(place, () => draw(page), signal);
  const draw = async (page) => {
    const { rows, total, isMore } = await pages(page);
    table.show(rows);
    const shown = { page, pageSize: PAGE_SIZE, total, isMore };
    return [pager(shown, turn), table.node, pager({ ...shown, isBelow: true }, turn)];
  };
  const { total } = await pages(1);
  const figures = t(total > found.length ? "key.newest" : "key.summary", { rows: whole(found.length), cost: costOf(found) });
  fill(place, await draw(1));
  return [element("p", { class: "summary", role: "status" }, figures), place];
}

/**
 * Return a function from the number of a page to {rows, total, isMore}. The route gives no total: it is known once a
 * page was seen that is not full.
 */
function pagesOf(found, ask) {
  const asked = new Map();
  const page = async (number) => {
    const here = found.slice((number - 1) * PAGE_SIZE, number * PAGE_SIZE);
    if (here.length === PAGE_SIZE) return here;
    if (!asked.has(number)) asked.set(number, await ask(number));
    return asked.get(number);
  };
  let last = Math.floor(found.length / PAGE_SIZE) + 1;
  return async (number) => {
    const rows = await page(number);
    let rest = await page(last);
    while (rest.length === PAGE_SIZE && last <= number) {
      last += 1;
      rest = await page(last);
    }
    return { rows, total: (last - 1) * PAGE_SIZE + rest.length, isMore: rest.length === PAGE_SIZE };
  };
}

function columns() {
  const chosen = chosenColumns();
  return possibleColumns({ byKey: true }).filter((column) => chosen.includes(column.key));
}
