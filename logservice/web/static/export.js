// All rows that filters leave as a file, with its progress while it comes.

import { exported, read } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, element, fill, segments } from "./dom.js";
import { queryOf } from "./filters.js";
import { bytes, percent, whole } from "./format.js";
import { t } from "./i18n.js";
import { failed } from "./states.js";

const NEWLINE = 10;
const QUOTE = 34;

/** Open the dialog for the filters of a view. */
export function openExport(params) {
  const aborter = new AbortController();
  const { body } = openDialog(t("export.title"), () => aborter.abort());
  const query = queryOf(params);
  const ask = async () => {
    try {
      const { total } = await read("", { ...query, page_size: 1 }, aborter.signal);
      offer(body, { query, total, format: "csv" }, aborter.signal);
    } catch (error) {
      if (!aborter.signal.aborted) fill(body, failed(error, ask));
    }
  };
  ask();
}

function offer(body, { query, total, format }, signal) {
  const choose = (chosen) => offer(body, { query, total, format: chosen }, signal);
  const start = () => save(body, { query: { ...query, format }, total, format }, signal);
  fill(
    body,
    element("p", {}, t("export.about", { total: whole(total) })),
    segments(t("export.format"), [["csv", "CSV"], ["ndjson", "NDJSON"]], format, choose),
    element("p", { class: "minor" }, t(`export.${format}`)),
    element("div", { class: "dialog-actions" }, button(t("export.start"), start, { class: "primary", disabled: total === 0 })),
  );
}

async function save(body, { query, total, format }, signal) {
  const progress = element("progress", { max: Math.max(total, 1), value: 0, "aria-label": t("export.progress") });
  const state = element("p", { class: "minor", "aria-live": "polite" }, t("export.progress"));
  fill(body, progress, state);
  try {
    const response = await exported(query, signal);
    const told = ({ rows, size }) => {
      progress.value = rows;
      state.textContent = t("export.sofar", { rows: whole(rows), share: percent(rows, total), size: bytes(size) });
    };
    const { blob, rows, size } = await collected(response, format, told);
    handOver(blob, nameOf(response, format));
    fill(body, element("p", { class: "notice", role: "status" }, t("export.done", { rows: whole(rows), size: bytes(size) })));
  } catch (error) {
    if (signal.aborted) return;
    // The connection breaks when an export fails after its beginning: half a file is no file.
    const told = error.status === undefined ? { message: t("export.broken") } : error;
    fill(body, failed(told, () => save(body, { query, total, format }, signal)));
  }
}

/** Read a response to its end and count its rows. */
async function collected(response, format, told) {
  const pieces = [];
  const counter = lineCounter(format);
  let size = 0;
  let toldAt = 0;
  const reader = response.body.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value);
    size += piece.value.length;
    counter.count(piece.value);
    if (performance.now() - toldAt > 100) {
      toldAt = performance.now();
      told({ rows: counter.lines(), size });
    }
  }
  const rows = Math.max(0, counter.lines() - (format === "csv" ? 1 : 0));
  return { blob: new Blob(pieces, { type: response.headers.get("Content-Type") }), rows, size };
}

/** Count lines. Texts of CSV may hold line breaks, between quotes; in NDJSON they are escaped. */
function lineCounter(format) {
  let found = 0;
  let quoted = false;
  const count = (piece) => {
    for (const byte of piece) {
      if (byte === QUOTE && format === "csv") quoted = !quoted;
      else if (byte === NEWLINE && !quoted) found += 1;
    }
  };
  return { count, lines: () => found };
}

function nameOf(response, format) {
  const header = response.headers.get("Content-Disposition") ?? "";
  return /filename="?([^";]+)/.exec(header)?.[1] ?? `logs.${format}`;
}

/** Let the browser save what was read. A link to the API itself could not carry the access token. */
function handOver(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
