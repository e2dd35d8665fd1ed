// The table of rows. A row opens to all that is known of it.

import { element } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { rowDetail } from "./row.js";

/**
 * Make a table. `columns` are those of columns.js; `filter(params)` is called when a name is clicked; `mark(text)` makes
 * nodes of a text in which something is marked. `insert` adds rows, newest first, where they belong by their ids.
 */
export function rowTable(columns, { filter, mark } = {}) {
  const body = element("tbody");
  const heads = columns.map((column) =>
    element("th", { scope: "col", class: column.numeric ? "number" : null }, t(`column.${column.key}`)),
  );
  const opener = element("th", { scope: "col", class: "opener" }, element("span", { class: "hidden" }, t("row.open")));
  const table = element(
    "table",
    { class: "rows" },
    element("caption", { class: "hidden" }, t("row.caption")),
    element("thead", {}, element("tr", {}, opener, ...heads)),
    body,
  );
  const node = element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": t("row.caption") }, table);
  const make = (row) => tableRow(row, columns, { filter, mark });
  const show = (rows) => body.replaceChildren(...rows.map(make));
  // A table that fits needs no box to scroll in, and its head can stay at the top of the window.
  new ResizeObserver(() => node.classList.toggle("fits", table.offsetWidth <= node.clientWidth)).observe(node);
  return { node, body, make, show, ...linesOf(body, { make, width: columns.length + 1 }) };
}

/** What can be done with the lines of a table that stand in the order of their ids, the highest first. */
function linesOf(body, { make, width }) {
  /** Return the id of the line at a place counted from 0, or undefined. */
  const idAt = (place) => {
    const line = body.querySelectorAll("tr[data-id]")[place];
    return line && Number(line.dataset.id);
  };
  const firstBelow = (id, from) => {
    let at = from;
    while (at !== null && !(Number(at.dataset.id) < id)) at = at.nextElementSibling;
    return at;
  };
  const insert = (rows, kind) => {
    let at = body.firstElementChild;
    for (const row of rows) {
      at = firstBelow(row.id, at);
      const line = make(row);
      line.classList.add(kind);
      body.insertBefore(line, at);
    }
  };
  /** Say between rows, below the one with an id, that some are not shown. */
  const insertGap = (id, text) => {
    const line = element("tr", { class: "gap" }, element("td", { colspan: width }, text));
    body.insertBefore(line, firstBelow(id, body.firstElementChild));
  };
  /** Forget the lowest lines. */
  const trim = (most) => {
    while (body.rows.length > most) body.lastElementChild.remove();
  };
  return { idAt, insert, insertGap, trim };
}

function tableRow(row, columns, { filter, mark }) {
  const cells = columns.map((column) => {
    const made = mark && ["model", "detail"].includes(column.key) ? marked(row, column, mark) : column.cell(row, filter);
    return element("td", { class: `cell-${column.key}${column.numeric ? " number" : ""}` }, made);
  });
  const open = () => toggle(line, row, columns.length + 1);
  const opener = element(
    "button",
    { type: "button", class: "opener", "aria-expanded": "false", "aria-label": t("row.open") },
    icon("open"),
  );
  const line = element(
    "tr",
    { "data-id": row.id, class: `row row-${row.type}`, on: { click: () => openUnlessSelecting(open) } },
    element("td", { class: "opener" }, opener),
    ...cells,
  );
  return line;
}

function marked(row, column, mark) {
  const text = column.key === "model" ? row.model_name : row.content;
  return element("span", { class: column.key === "model" ? "name" : "detail" }, mark(text));
}

/** Who marks a text in order to copy it does not want the row to open. */
function openUnlessSelecting(open) {
  if (getSelection().isCollapsed) open();
}

function toggle(line, row, width) {
  const opened = line.nextElementSibling?.classList.contains("opened");
  if (opened) line.nextElementSibling.remove();
  else line.after(element("tr", { class: "opened" }, element("td", { colspan: width }, rowDetail(row))));
  line.querySelector("button.opener").setAttribute("aria-expanded", String(!opened));
}
