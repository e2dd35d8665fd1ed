// New rows as they come in, above those that are there, without moving what is being read.

import { read } from "./api.js";
import { button, element } from "./dom.js";
import { whole } from "./format.js";
import { t } from "./i18n.js";

const PAUSE = 2000;
const PAGE_SIZE = 100;
/** Pages that are read at a time to catch up; a log that takes more in two seconds is not read by people. */
const MOST_PAGES = 5;
const MOST_ROWS = 1000;

/** Keep a table up to date: `rows` are those it shows. Returns {node, close}; the node tells what is new. */
export function liveRows(table, rows, { query, signal }) {
  const known = new Set(rows.map((row) => row.id));
  const notice = element("p", { class: "live-state", role: "status" }, t("live.waiting"));
  const up = button("", () => scrollTo({ top: 0 }), { class: "new-above", hidden: true });
  let unseen = 0;
  let timer = null;
  const seen = () => {
    if (isBeingRead(table)) return;
    unseen = 0;
    up.hidden = true;
  };
  const look = async () => {
    try {
      const found = document.hidden ? [] : await unknownRows(known, query, signal);
      unseen += insert(table, found, known);
      notice.textContent = t("live.waiting");
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      notice.textContent = t("live.failed", { message: error.message });
    }
    up.textContent = t("live.above", { count: whole(unseen) });
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

/** Return rows that are not shown yet, newest first. Rows may arrive late, so a whole page is compared. */
async function unknownRows(known, query, signal) {
  const found = [];
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const { items } = await read("", { ...query, p: page, page_size: PAGE_SIZE }, signal);
    const fresh = items.filter((row) => !known.has(row.id));
    found.push(...fresh);
    if (fresh.length < items.length || items.length < PAGE_SIZE) break;
  }
  return found;
}

/** Put rows where they belong by id, and keep every line where it stands on the screen if it is being read. */
function insert(table, found, known) {
  if (found.length === 0) return 0;
  const held = isBeingRead(table) ? firstVisible(table) : null;
  const before = held?.getBoundingClientRect().top;
  for (const row of found) {
    known.add(row.id);
    table.body.insertBefore(marked(table.make(row)), lineBelow(table, row.id));
  }
  if (held !== null) scrollBy({ top: held.getBoundingClientRect().top - before, behavior: "instant" });
  trim(table, known);
  return held === null ? 0 : found.length;
}

function marked(line) {
  line.classList.add("fresh");
  return line;
}

function lineBelow(table, id) {
  return [...table.body.querySelectorAll("tr[data-id]")].find((line) => Number(line.dataset.id) < id) ?? null;
}

/** Rows are being read when they were scrolled to, when one is open, or when some text is marked. */
function isBeingRead(table) {
  const scrolled = table.node.getBoundingClientRect().top < 0;
  return scrolled || table.body.querySelector("tr.opened") !== null || !getSelection().isCollapsed;
}

function firstVisible(table) {
  return [...table.body.rows].find((line) => line.getBoundingClientRect().bottom > 0) ?? null;
}

/** Forget the oldest lines, which stand below everything else. */
function trim(table, known) {
  while (table.body.rows.length > MOST_ROWS) {
    known.delete(Number(table.body.lastElementChild.dataset.id));
    table.body.lastElementChild.remove();
  }
}
