// What the log holds, and how old rows are taken out of it. For administrators.

import { administer, read } from "../api.js";
import { element, fill } from "../dom.js";
import { bytes, moment, percent, typeLabel, typeName, whole } from "../format.js";
import { t } from "../i18n.js";
import { purgePanel } from "../purge.js";
import { settle } from "../states.js";

const HOUR = 3600;
const DAY = 24 * HOUR;

export function openMaintenance(main) {
  const health = element("section", { class: "place", "aria-label": t("maintenance.holds") });
  const purge = element("section", { class: "panel", "aria-label": t("purge.title") });
  fill(main, element("h1", {}, t("view.maintenance")), element("div", { class: "side-by-side even" }, health, purge));
  let panel = null;
  const update = (_, signal) => {
    const look = async () => {
      await settle(health, async () => panelOf(await quickly(signal)), signal);
      await settle(health, async () => panelOf(await thorough(signal)), signal);
    };
    look();
    panel?.close();
    panel = purgePanel(purge, { signal, done: look });
  };
  return { update, close: () => panel?.close() };
}

/** Rows by type are known at once; what they take, and whether all is well, takes the service a second to find out. */
async function quickly(signal) {
  const { items } = await read("usage", { group_by: "type" }, signal);
  const types = items.map((item) => ({ type: item.type, rows: item.rows }));
  return { types, rows: types.reduce((sum, one) => sum + one.rows, 0) };
}

function thorough(signal) {
  return administer("health", {}, { signal });
}

function panelOf(found) {
  const title = element("h2", {}, t("maintenance.holds"));
  return element("div", { class: "panel" }, title, soundness(found), types(found), sizes(found));
}

function soundness(found) {
  if (found.sound === undefined) return element("p", { class: "notice" }, t("maintenance.checking"));
  const text = found.sound ? t("maintenance.sound") : t("maintenance.unsound");
  return element("p", { class: `notice ${found.sound ? "notice-good" : "notice-error"}` }, text);
}

function types(found) {
  const heads = ["type", "rows", "share", "size"].map((name) =>
    element("th", { scope: "col", class: name === "type" ? null : "number" }, t(`maintenance.${name}`)),
  );
  const lines = (found.types ?? []).map((one) => {
    const tag = element("span", { class: `tag tag-${typeName(one.type) ?? "unknown"}` }, typeLabel(one.type));
    const cells = [whole(one.rows), percent(one.rows, found.rows), one.bytes === undefined ? "…" : bytes(one.bytes)];
    return element("tr", {}, element("th", { scope: "row" }, tag), cells.map((text) => element("td", { class: "number" }, text)));
  });
  const foot = element("tr", { class: "sum" }, element("th", { scope: "row" }, t("maintenance.all")), [whole(found.rows ?? 0), "", ""].map((text) => element("td", { class: "number" }, text)));
  return element("table", { class: "numbers" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, lines, foot));
}

function sizes(found) {
  const facts = [
    ["database", found.database_bytes && bytes(found.database_bytes)],
    ["wal", found.wal_bytes && bytes(found.wal_bytes)],
    ["free", found.free_bytes && bytes(found.free_bytes)],
    ["oldest", found.oldest && moment(found.oldest)],
    ["newest", found.newest && moment(found.newest)],
    ["retention", found.retention && kept(found.retention)],
    ["most", found.max_db_size && bytes(found.max_db_size)],
  ];
  const shown = facts.filter(([, value]) => value);
  const made = shown.map(([name, value]) => element("div", {}, element("dt", {}, t(`maintenance.${name}`)), element("dd", {}, value)));
  return element("dl", { class: "facts" }, made);
}

function kept(rules) {
  if (rules.length === 0) return t("maintenance.forever");
  return rules.map((rule) => t(...span(rule))).join(" · ");
}

function span({ type, seconds }) {
  const inDays = seconds % DAY === 0;
  const count = whole(seconds / (inDays ? DAY : HOUR));
  return [inDays ? "maintenance.days" : "maintenance.hours", { type: typeLabel(type), count }];
}
