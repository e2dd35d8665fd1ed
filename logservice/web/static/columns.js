// The columns of the table of rows: what each shows, and who can see it at all.

import { button, element } from "./dom.js";
import { amount, clock, dayOfTable, duration, moment, price, typeLabel, typeName, whole } from "./format.js";
import { t } from "./i18n.js";
import { isAdmin } from "./session.js";

const KEPT = "logservice.columns";
const TYPES_WITH_TOKENS = [2, 4];

/** A column is `numeric` if its values stand at the right, and `admin` or `signedIn` if not everybody sees it. */
export const COLUMNS = [
  { key: "time", cell: timeCell },
  { key: "type", cell: typeCell },
  { key: "user", cell: name("username"), admin: true },
  { key: "token", cell: name("token_name") },
  { key: "group", cell: name("group") },
  { key: "model", cell: name("model_name") },
  { key: "duration", cell: durationCell, numeric: true },
  { key: "stream", cell: (row) => (row.is_stream ? t("row.stream") : "") },
  { key: "prompt", cell: tokens("prompt_tokens"), numeric: true },
  { key: "completion", cell: tokens("completion_tokens"), numeric: true },
  { key: "cached", cell: tokens("cached_tokens"), numeric: true },
  { key: "cost", cell: costCell, numeric: true },
  { key: "channel", cell: channelCell, admin: true },
  { key: "ip", cell: name("ip"), signedIn: true },
  { key: "detail", cell: (row) => element("span", { class: "detail" }, row.content) },
];
const USUALLY_HIDDEN = ["group", "ip"];
/** In the short table of the overview. */
export const FEW = ["time", "type", "user", "token", "model", "duration", "prompt", "completion", "cost", "detail"];

/** Return the columns that the caller can see; holders of a key are not signed in. */
export function possibleColumns({ byKey = false } = {}) {
  return COLUMNS.filter((column) => (!column.admin || (isAdmin() && !byKey)) && !(column.signedIn && byKey));
}

/** Return the keys of the columns that were not put away. */
export function chosenColumns() {
  const kept = localStorage.getItem(KEPT);
  const hidden = kept === null ? USUALLY_HIDDEN : kept.split(",");
  return COLUMNS.map((column) => column.key).filter((key) => !hidden.includes(key));
}

/** Remember whether a column is shown. */
export function chooseColumn(key, shown) {
  const chosen = new Set(chosenColumns());
  if (shown) chosen.add(key);
  else chosen.delete(key);
  const hidden = COLUMNS.map((column) => column.key).filter((name) => !chosen.has(name));
  localStorage.setItem(KEPT, hidden.join(","));
}

function timeCell(row) {
  const attributes = { datetime: new Date(row.created_at * 1000).toISOString(), title: moment(row.created_at) };
  const date = element("span", { class: "date" }, dayOfTable(row.created_at));
  return element("time", attributes, date, " ", clock(row.created_at));
}

function typeCell(row) {
  return element("span", { class: `tag tag-${typeName(row.type) ?? "unknown"}` }, typeLabel(row.type));
}

/** A name filters by itself when it is clicked. */
function name(field) {
  return (row, filter) => nameNode(row[field], row[field], filter, field);
}

function channelCell(row, filter) {
  if (!row.channel_id) return "";
  const label = row.channel_name ? `${row.channel_id} ${row.channel_name}` : String(row.channel_id);
  return nameNode(label, row.channel_id, filter, "channel");
}

function nameNode(label, value, filter, field) {
  if (label === "") return "";
  if (filter === undefined) return element("span", { class: "name" }, label);
  const click = (event) => {
    event.stopPropagation();
    filter({ [field]: value });
  };
  return button(label, click, { class: "name", title: t("filter.by", { value: label }) });
}

function durationCell(row) {
  if (!row.use_time_ms) return "";
  const whole = duration(row.use_time_ms);
  if (!row.first_token_ms) return whole;
  return [element("span", { class: "minor", title: t("row.first") }, duration(row.first_token_ms)), " / ", whole];
}

function tokens(field) {
  return (row) => (row[field] || TYPES_WITH_TOKENS.includes(row.type) ? whole(row[field]) : "");
}

function costCell(row) {
  if (!row.quota) return element("span", { class: "minor" }, "–");
  return element("span", { title: t("row.quota", { quota: whole(row.quota) }) }, price(row.quota));
}

/** A sum of the costs of rows, for the line above a table. */
export function costOf(rows) {
  return amount(rows.reduce((sum, row) => sum + row.quota, 0));
}
