// Taking old rows out: what would go is counted first, the number is confirmed, and progress shown while it happens.

import { administer, read } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, element, fill, select } from "./dom.js";
import { moment, typeChoices, typeLabel, whole } from "./format.js";
import { t } from "./i18n.js";
import { failed } from "./states.js";

const PAUSE = 500;
const MONTHS_AT_FIRST = 6;

/** Fill a place with the form. `done()` is called after rows went; `close` of what is returned ends all looking. */
export function purgePanel(place, { signal, done }) {
  const state = element("div", { class: "purge-state", "aria-live": "polite" });
  const watch = watcher(state, signal);
  const run = async (wanted) => {
    watch.start();
    try {
      const gone = await administer("", wanted, { method: "DELETE", signal });
      watch.stop();
      fill(state, element("p", { class: "notice notice-good" }, t("purge.done", { rows: whole(gone) })));
      done();
    } catch (error) {
      watch.stop();
      if (signal.aborted) return;
      fill(state, failed(error, () => run(wanted)));
    }
  };
  fill(place, element("h2", {}, t("purge.title")), form((wanted) => count(state, wanted, { signal, run })), state);
  // Somebody else's purge, or one that was asked for before the page was opened anew, is shown as well.
  watch.start();
  return { close: watch.stop };
}

function form(submit) {
  const date = new Date();
  date.setMonth(date.getMonth() - MONTHS_AT_FIRST);
  const before = element("input", { type: "date", id: "purge-before", required: true, value: date.toISOString().slice(0, 10) });
  const type = select([["", t("type.all")], ...typeChoices()], "", () => {}, { id: "purge-type" });
  const keep = element("input", { type: "checkbox", id: "purge-keep", checked: true });
  const sent = (event) => {
    event.preventDefault();
    const target = Math.floor(new Date(`${before.value}T00:00:00`) / 1000);
    submit({ target_timestamp: target, type: type.value, keep_usage: keep.checked ? 1 : "" });
  };
  return element(
    "form",
    { on: { submit: sent } },
    element("p", { class: "minor" }, t("purge.about")),
    element("label", { class: "field", for: "purge-before" }, element("span", {}, t("purge.before")), before),
    element("label", { class: "field", for: "purge-type" }, element("span", {}, t("filter.type")), type),
    element("label", { class: "check" }, keep, t("purge.keep")),
    element("button", { type: "submit" }, t("purge.count")),
  );
}

/** Count what would go. Rows strictly older go, and the list includes its end. */
async function count(state, wanted, { signal, run }) {
  const query = { end_timestamp: wanted.target_timestamp - 1, type: wanted.type, page_size: 1 };
  try {
    const { total } = await read("", query, signal);
    if (total === 0) fill(state, element("p", { class: "notice" }, t("purge.nothing")));
    else confirm(total, wanted, run);
  } catch (error) {
    if (signal.aborted) return;
    fill(state, failed(error, () => count(state, wanted, { signal, run })));
  }
}

function confirm(total, wanted, run) {
  const { body, close } = openDialog(t("purge.confirm"));
  const values = { rows: whole(total), before: moment(wanted.target_timestamp), type: wanted.type ? typeLabel(wanted.type) : t("type.all") };
  const sure = () => {
    close();
    run(wanted);
  };
  fill(
    body,
    element("p", { class: "loud" }, t("purge.sure", values)),
    element("p", {}, t(wanted.keep_usage ? "purge.kept" : "purge.lost")),
    element(
      "div",
      { class: "dialog-actions" },
      button(t("dialog.cancel"), close),
      button(t("purge.go", { rows: whole(total) }), sure, { class: "danger" }),
    ),
  );
}

/** Look how far the purge is that goes on, until there is none. */
function watcher(state, signal) {
  let timer = null;
  const look = async () => {
    const found = await administer("purge", {}, { signal });
    if (timer === null) return;
    if (!found.running) {
      state.querySelector(".purge-progress")?.remove();
      timer = null;
      return;
    }
    show(state, found);
    timer = setTimeout(tryLook, PAUSE);
  };
  const tryLook = () =>
    look().catch((error) => {
      if (error.status === undefined && !signal.aborted) throw error;
    });
  const start = () => {
    timer = setTimeout(tryLook, 0);
  };
  const stop = () => {
    clearTimeout(timer);
    timer = null;
  };
  return { start, stop };
}

function show(state, { deleted, to_go: toGo }) {
  const all = deleted + (toGo ?? 0);
  const text = t("purge.progress", { deleted: whole(deleted), all: whole(all) });
  const bar = element("progress", { max: Math.max(1, all), value: deleted, "aria-label": t("purge.title") });
  fill(state, element("div", { class: "purge-progress" }, bar, element("p", {}, text)));
}
