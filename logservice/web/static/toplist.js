// A short list of who or what used most, each with a bar for its share of the first.

import { button, element } from "./dom.js";
import { t } from "./i18n.js";
import { isNamed } from "./series.js";

/** How many are shown. */
export const MOST = 6;

/** Make the list of {name, value} items, of `count` that there are; `filter(name)` is called with the one clicked. */
export function topList({ title, items, count, format, label, filter }) {
  const sorted = items.filter((item) => item.value > 0).sort((one, other) => other.value - one.value);
  const shown = sorted.slice(0, MOST);
  const lines = shown.map((item) => line(item, shown[0].value, { format, label, filter }));
  const more = shown.length === MOST && count > MOST ? element("span", { class: "minor" }, t("top.more", { count: count - MOST })) : null;
  const heading = element("h2", {}, title, more);
  const empty = element("p", { class: "minor" }, t("top.empty"));
  return element("section", { class: "panel top-list" }, heading, shown.length ? element("ol", {}, lines) : empty);
}

function line({ name, value }, largest, { format, label, filter }) {
  const share = element("progress", { max: largest, value, "aria-hidden": "true" });
  const amount = element("span", { class: "number" }, format(value));
  const text = label(name);
  if (!isNamed(name)) return element("li", {}, element("span", { class: "entry" }, text), amount, share);
  const title = t("filter.by", { value: text });
  return element("li", {}, button(text, () => filter(name), { class: "entry", title }), amount, share);
}
