// All that is known of one row: what it says, how it was billed, ids to copy, and what else the gateway wrote.

import { billing, otherOf } from "./billing.js";
import { button, element, fill } from "./dom.js";
import { duration, moment, plain, price, whole } from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Recorded costs are rounded, and gateways round at different places: a difference up to this is none. */
const ROUNDING = 2;

/** Make the content of an opened row. */
export function rowDetail(row) {
  return element("div", { class: "row-detail" }, textOf(row), bill(row), facts(row), otherFacts(row));
}

function textOf(row) {
  if (row.content === "") return null;
  const kind = row.type === 4 ? "says says-error" : "says";
  return part(row.type === 4 ? "row.error" : "row.content", element("p", { class: kind }, row.content));
}

function part(title, ...content) {
  return element("section", {}, element("h3", {}, t(title)), ...content);
}

function bill(row) {
  const found = billing(row);
  if (found === null) return null;
  const lines = found.steps.map((step) => line(t(`bill.${step.kind}`), formula(step, found.model), price(step.quota)));
  lines.push(line(t("bill.group"), `× ${plain(found.group)}`, ""));
  lines.push(line(t("bill.total"), "", price(found.total), "sum"));
  if (Math.abs(found.total - row.quota) > ROUNDING) lines.push(line(t("bill.recorded"), "", price(row.quota), "sum"));
  return part("row.billing", element("table", { class: "bill" }, element("tbody", {}, lines)), difference(found, row));
}

function formula(step, model) {
  if (step.kind === "price") return plain(step.price);
  const ratio = step.ratio === 1 ? "" : ` × ${plain(step.ratio)}`;
  return `${whole(step.tokens)} × ${plain(model)}${ratio}`;
}

function difference(found, row) {
  if (Math.abs(found.total - row.quota) <= ROUNDING) return null;
  return element("p", { class: "minor" }, t("bill.differs"));
}

function line(label, middle, value, kind) {
  const cells = [element("th", { scope: "row" }, label), element("td", {}, middle), element("td", { class: "number" }, value)];
  return element("tr", { class: kind }, cells);
}

function facts(row) {
  const ids = [
    ["row.id", row.id],
    ["filter.request_id", row.request_id],
    ["row.user_id", row.user_id],
    ["row.token_id", row.token_id],
    ["filter.channel", row.channel_id],
    ["filter.ip", row.ip],
  ];
  const made = ids.filter(([, value]) => value).map(([label, value]) => fact(t(label), copied(String(value))));
  const times = [["row.first_token", row.first_token_ms], ["row.duration", row.use_time_ms]];
  const spent = times.filter(([, value]) => value).map(([label, value]) => fact(t(label), duration(value)));
  const time = fact(t("column.time"), moment(row.created_at));
  return part("row.facts", element("dl", {}, time, ...spent, ...made, fact(t("row.quota_label"), whole(row.quota))));
}

function fact(label, value) {
  return element("div", {}, element("dt", {}, label), element("dd", {}, value));
}

function copied(text) {
  const copy = async (event) => {
    event.stopPropagation();
    const pressed = event.currentTarget;
    await navigator.clipboard.writeText(text);
    fill(pressed, icon("done"));
    setTimeout(() => fill(pressed, icon("copy")), 1200);
  };
  // Browsers have a clipboard on secure pages only; elsewhere the text can still be marked.
  if (navigator.clipboard === undefined) return element("code", {}, text);
  const label = t("row.copy", { value: text });
  return [element("code", {}, text), button(icon("copy"), copy, { class: "bare", "aria-label": label, title: label })];
}

function otherFacts(row) {
  if (!row.other) return null;
  const found = otherOf(row);
  const entries = found === null ? [["other", row.other]] : Object.entries(found);
  const made = entries.map(([key, value]) => fact(key, typeof value === "string" ? value : JSON.stringify(value)));
  return part("row.other", element("dl", { class: "other" }, made));
}
