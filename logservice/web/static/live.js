// New rows as they come in, above those that are there, without moving what is being read.

import { read } from "./api.js";
import { button, element } from "./dom.js";
import { whole } from "./format.js";
import { t } from "./i18n.js";

const PAUSE = 2000;
const PAGE_SIZE = 100;
/** Pages that are read at a time; what comes quicker is passed over, and said to be: nobody could read it. */
const MOST_PAGES = 3;
const MOST_ROWS = 1000;

/**
 * Keep a table up to date that shows `found`, the first page of a list. Returns {node, close}; the node tells what is
 * new, and how many rows came that are not shown.
 */
export function liveRows(table, found, { query, signal }) {
  const notice = element("p", { class: "live-state", role: "status" }, t("live.waiting"));
  const up = button("", () => scrollTo({ top: 0 }), { class: "new-above", hidden: true });
  const news = follower(table, found, { query, signal });
  let unseen = 0;
  let timer = null;
  const seen = () => {
    if (isBeingRead(table)) return;
    unseen = 0;
    up.hidden = true;
  };
  const look = async () => {
    try {
      if (!document.hidden) {
        const { rows, late, gap } = await news();
        if (signal.aborted) return;
        unseen += insert(table, rows, gap);
        say(notice, late > 0 ? t("live.late", { count: whole(late) }) : t("live.waiting"));
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      say(notice, t("live.failed", { message: error.message }));
    }
    say(up, t("live.above", { count: whole(unseen) }));
    up.hidden = unseen === 0;
    seen();
    timer = setTimeout(look, PAUSE);
  };
  timer = setTimeout(look, PAUSE);
  addEventListener("scroll", seen, { passive: true });
  const close = () => {
    clearTimeout(timer);
    removeEventListener("scroll", seen);
  };
  return { node: element("div", { class: "live-bar" }, notice, up), close };
}

/** A text that is read aloud when it changes must not be set to what it is. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Return a function that reads what came since it was called last: {rows, late, gap}, rows newest first. Rows may arrive
 * late, with an id below others, so the newest that are shown are read once more; `late` counts those that were later
 * still, by the total. `gap` is {below, count} if rows below an id were passed over.
 */
function follower(table, found, { query, signal }) {
  let known = new Set(found.items.map((row) => row.id));
  // Below a full page lie the rows of the next pages, which are not new, and below a gap those that were passed over.
  let lowest = found.total > found.items.length ? found.items.at(-1).id : 0;
  let expected = found.total;
  let late = 0;
  const ask = (more) => read("", { ...query, page_size: PAGE_SIZE, ...more }, signal);
  return async () => {
    const rows = new Map();
    const take = (items) => items.filter((row) => !known.has(row.id)).forEach((row) => rows.set(row.id, row));
    const behind = Math.max(table.idAt(PAGE_SIZE) ?? 0, lowest);
    let answer = await ask({ after: behind });
    let { total } = answer;
    for (let page = 1; page < MOST_PAGES && answer.items.length === PAGE_SIZE; page += 1) {
      take(answer.items);
      answer = await ask({ after: answer.items[0].id });
    }
    take(answer.items);
    const isCut = answer.items.length === PAGE_SIZE;
    if (isCut) {
      answer = await ask({ p: 1 });
      take(answer.items);
      ({ total } = answer);
    }
    known = new Set([...known, ...rows.keys()].filter((id) => id > behind));
    expected += rows.size;
    const missed = Math.max(0, total - expected);
    const gap = isCut && missed > late ? { below: answer.items.at(-1).id, count: missed - late } : null;
    if (gap === null) {
      late = missed;
    } else {
      expected += gap.count;
      lowest = gap.below;
    }
    const newestFirst = [...rows.values()].sort((one, other) => other.id - one.id);
    return { rows: newestFirst, late, gap };
  };
}

/** Put rows where they belong by id, and keep every line where it stands on the screen if it is being read. */
function insert(table, rows, gap) {
  if (rows.length === 0) return 0;
  const held = isBeingRead(table) ? firstVisible(table) : null;
  const before = held?.getBoundingClientRect().top;
  table.insert(rows, "fresh");
  if (gap !== null) table.insertGap(gap.below, t("live.gap", { count: whole(gap.count) }));
  if (held !== null) scrollBy({ top: held.getBoundingClientRect().top - before, behavior: "instant" });
  table.trim(MOST_ROWS);
  return held === null ? 0 : rows.length;
}

/** Rows are being read when they were scrolled to, when one is open, or when some text is marked. */
function isBeingRead(table) {
  const scrolled = table.body.getBoundingClientRect().top < 0;
  return scrolled || table.body.querySelector("tr.opened") !== null || !getSelection().isCollapsed;
}

function firstVisible(table) {
  return [...table.body.rows].find((line) => line.getBoundingClientRect().bottom > 0) ?? null;
}
