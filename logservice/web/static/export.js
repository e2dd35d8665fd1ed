// All rows that filters leave as a file, with its progress while it comes.

import { exported, Failure, read } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, element, fill, segments } from "./dom.js";
import { queryOf } from "./filters.js";
import { bytes, percent, whole } from "./format.js";
import { t } from "./i18n.js";
import { failed } from "./states.js";

const NEWLINE = 10;
const QUOTE = 34;
/** Rows above which a file is written to the disk as it comes, by browsers that can: it may not fit into memory. */
const MANY = 200000;

/** Open the dialog for the filters of a view. */
export function openExport(params) {
  const aborter = new AbortController();
  const { body, close } = openDialog(t("export.title"), () => aborter.abort());
  const dialog = { body, close, signal: aborter.signal };
  const query = queryOf(params);
  const ask = async () => {
    try {
      const { total } = await read("", { ...query, page_size: 1 }, dialog.signal);
      offer(dialog, { query, total, format: "csv" });
    } catch (error) {
      if (dialog.signal.aborted) return;
      if (error.status === undefined) throw error;
      fill(body, failed(error, ask));
    }
  };
  ask();
}

function offer(dialog, { query, total, format }) {
  const wanted = { query, total, format };
  const choose = (chosen) => offer(dialog, { ...wanted, format: chosen });
  const start = button(t("export.start"), () => save(dialog, wanted), { class: "primary", disabled: total === 0 });
  const isHuge = total > MANY && window.showSaveFilePicker === undefined;
  fill(
    dialog.body,
    element("p", {}, t("export.about", { total: whole(total) })),
    segments(t("export.format"), [["csv", "CSV"], ["ndjson", "NDJSON"]], format, choose),
    element("p", { class: "minor" }, t(`export.${format}`)),
    isHuge ? element("p", { class: "notice notice-warning" }, t("export.huge")) : null,
    element("div", { class: "dialog-actions" }, button(t("dialog.cancel"), dialog.close), start),
  );
}

async function save(dialog, wanted) {
  const { body, close, signal } = dialog;
  const { query, total, format } = wanted;
  const progress = element("progress", { max: Math.max(total, 1), value: 0, "aria-label": t("export.progress") });
  const state = element("p", { class: "minor", "aria-live": "off" }, t("export.progress"));
  const cancel = button(t("dialog.cancel"), close);
  const told = ({ rows, size }) => {
    progress.value = rows;
    state.textContent = t("export.sofar", { rows: whole(rows), share: percent(rows, total), size: bytes(size) });
  };
  let target = null;
  try {
    target = await targetOf(wanted);
    fill(body, progress, state, element("div", { class: "dialog-actions" }, cancel));
    cancel.focus();
    const response = await exported({ ...query, format }, signal);
    const { rows, size } = await passOn(response, { target, format, told });
    await target.finish(response);
    const done = button(t("dialog.close"), close, { class: "primary" });
    const notice = element("p", { class: "notice", role: "status" }, t("export.done", { rows: whole(rows), size: bytes(size) }));
    fill(body, notice, element("div", { class: "dialog-actions" }, done));
    done.focus();
  } catch (error) {
    await target?.giveUp();
    if (signal.aborted) return;
    // Nobody has to say where a file belongs.
    if (target === null && error.name === "AbortError") return;
    // The connection breaks when an export fails after its beginning: half a file is no file.
    const shown = error.status === undefined ? new Failure(0, t("export.broken")) : error;
    fill(body, failed(shown, () => save(dialog, wanted)));
  }
}

/** Return where the pieces of a file go: to the disk at once if there are many rows, else into memory. */
async function targetOf({ total, format }) {
  if (total <= MANY || window.showSaveFilePicker === undefined) return inMemory(format);
  const handle = await showSaveFilePicker({ suggestedName: `logs.${format}` });
  const file = await handle.createWritable();
  return { write: (piece) => file.write(piece), finish: () => file.close(), giveUp: () => file.abort() };
}

function inMemory(format) {
  const pieces = [];
  const finish = (response) => {
    const blob = new Blob(pieces, { type: response.headers.get("Content-Type") });
    handOver(blob, nameOf(response, format));
  };
  return { write: (piece) => pieces.push(piece), finish, giveUp: () => {} };
}

/** Read a response to its end, pass it on, and count its rows. */
async function passOn(response, { target, format, told }) {
  const counter = lineCounter(format);
  let size = 0;
  let toldAt = 0;
  const reader = response.body.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    await target.write(piece.value);
    size += piece.value.length;
    counter.count(piece.value);
    if (performance.now() - toldAt > 100) {
      toldAt = performance.now();
      told({ rows: counter.lines(), size });
    }
  }
  return { rows: Math.max(0, counter.lines() - (format === "csv" ? 1 : 0)), size };
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
