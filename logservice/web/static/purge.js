// Taking old rows out: what would go is counted first, the number is confirmed, and progress shown while it happens.

import { administer, read } from "./api.js";
import { openDialog } from "./dialog.js";
import { button, element, fill, select } from "./dom.js";
import { day, moment, typeChoices, typeLabel, whole } from "./format.js";
import { t } from "./i18n.js";
import { failed } from "./states.js";

const PAUSE = 500;
const MONTHS_AT_FIRST = 6;

/**
 * Fill a place with the form. `done()` is called after rows went; `close` of what is returned ends all looking. While
 * rows are counted, or a purge goes on, whoever asked for it, the form waits.
 */
export function purgePanel(place, { signal, done }) {
  const state = element("div", { class: "purge-state", "aria-live": "polite" });
  const send = element("button", { type: "submit" }, t("purge.count"));
  const wait = (waits) => send.setAttribute("aria-disabled", String(waits));
  const watch = watcher(state, { signal, wait, done });
  const run = async (wanted) => {
    wait(true);
    watch.start({ isOwn: true });
    try {
      const gone = await administer("", wanted, { method: "DELETE", signal });
      fill(state, element("p", { class: "notice notice-good" }, t("purge.done", { rows: whole(gone) })));
      done();
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      fill(state, failed(error, () => run(wanted)));
    } finally {
      watch.stop();
      wait(false);
    }
  };
  const submit = async (wanted) => {
    if (send.getAttribute("aria-disabled") === "true") return;
    wait(true);
    fill(state);
    try {
      await count(state, wanted, { signal, run });
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      fill(state, failed(error, () => submit(wanted)));
    } finally {
      wait(false);
    }
  };
  fill(place, element("h2", {}, t("purge.title")), form(send, submit), state);
  // Somebody else's purge, or one that was asked for before the page was opened anew, is shown as well.
  watch.start({ isOwn: false });
  return { close: watch.stop };
}

function form(send, submit) {
  const date = new Date();
  date.setMonth(date.getMonth() - MONTHS_AT_FIRST);
  const before = element("input", { type: "date", id: "purge-before", required: true, value: day(date / 1000) });
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
    send,
  );
}

/** Count what would go. Rows strictly older go, and the list includes its end. */
async function count(state, wanted, { signal, run }) {
  const query = { end_timestamp: wanted.target_timestamp - 1, type: wanted.type, page_size: 1 };
  const { total } = await read("", query, signal);
  if (signal.aborted) return;
  if (total === 0) fill(state, element("p", { class: "notice" }, t("purge.nothing")));
  else confirm(total, wanted, run);
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

/**
 * Show how far the purge is that goes on, until there is none. One's own is asked after until its answer is here: it
 * need not have begun when the first question arrives. A question that fails is asked again.
 */
function watcher(state, { signal, wait, done }) {
  let timer = null;
  let wasRunning = false;
  const stop = () => {
    clearTimeout(timer);
    timer = null;
  };
  const look = async (isOwn) => {
    let found = null;
    try {
      found = await administer("purge", {}, { signal });
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
    }
    if (timer === null) return;
    if (found?.running) {
      wasRunning = true;
      wait(true);
      show(state, found);
    } else if (found !== null && !isOwn) {
      end();
      return;
    }
    timer = setTimeout(look, PAUSE, isOwn);
  };
  const end = () => {
    stop();
    if (!wasRunning) return;
    wait(false);
    fill(state, element("p", { class: "notice notice-good" }, t("purge.ended")));
    done();
  };
  const start = ({ isOwn }) => {
    stop();
    wasRunning = false;
    if (isOwn) show(state, {});
    timer = setTimeout(look, 0, isOwn);
  };
  return { start, stop };
}

/** Show how far a purge is: it begins, rows go, and then the database gives their space back. */
function show(state, { deleted = 0, to_go: toGo = 0 }) {
  const all = deleted + toGo;
  const text = toGo > 0 ? t("purge.progress", { deleted: whole(deleted), all: whole(all) }) : t(deleted > 0 ? "purge.space" : "purge.begins");
  const bar = element("progress", { max: Math.max(1, all), value: toGo > 0 ? deleted : null, "aria-label": t("purge.title") });
  // Its end is read aloud; all that happens on the way would be too much.
  fill(state, element("div", { class: "purge-progress", "aria-live": "off" }, bar, element("p", {}, text)));
}
