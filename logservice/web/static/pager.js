// Page numbers below a table: the first, the last, those around, and a field for any other.

import { button, element } from "./dom.js";
import { whole } from "./format.js";
import { t } from "./i18n.js";

const AROUND = 2;

/**
 * Make the pager of a list; `choose(page)` is called with a number from 1. `isMore` says that `total` is the least that
 * there are, `isBelow` that this is the second pager of a list.
 */
export function pager({ page, pageSize, total, isMore = false, isBelow = false }, choose) {
  const last = Math.max(1, Math.ceil(total / pageSize));
  const first = total === 0 ? 0 : Math.min(total, (page - 1) * pageSize + 1);
  const values = { first: whole(first), last: whole(Math.min(total, page * pageSize)), total: whole(total) };
  const numbers = pagesAround(page, last).map((number) =>
    number === null ? element("span", { class: "gap" }, "…") : pageButton(number, page, choose),
  );
  return element(
    "nav",
    { class: "pager", "aria-label": t(isBelow ? "pager.below" : "pager.title") },
    element("span", { class: "total", "data-total": total }, t(isMore ? "pager.atLeast" : "pager.total", values)),
    element("span", { class: "numbers" }, ...numbers),
    last > 7 ? jump(last, choose) : null,
  );
}

function pageButton(number, page, choose) {
  const current = number === page ? "page" : null;
  return button(whole(number), () => choose(number), { "aria-current": current, "aria-label": t("pager.page", { number }) });
}

function jump(last, choose) {
  const go = (event) => {
    const number = Math.round(Number(event.target.value));
    if (number >= 1) choose(Math.min(last, number));
  };
  const input = element("input", { type: "number", min: 1, max: last, "aria-label": t("pager.jump"), on: { change: go } });
  return element("label", { class: "jump" }, element("span", {}, t("pager.jump")), input);
}

/** Return the numbers to show, null for a gap. */
function pagesAround(page, last) {
  const wanted = new Set([1, last]);
  for (let number = page - AROUND; number <= page + AROUND; number += 1) wanted.add(number);
  const sorted = [...wanted].filter((number) => number >= 1 && number <= last).sort((one, other) => one - other);
  return sorted.flatMap((number, place) => (place > 0 && number - sorted[place - 1] > 1 ? [null, number] : [number]));
}
