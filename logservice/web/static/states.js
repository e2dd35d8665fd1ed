// What stands in a place while its content is on the way, when there is none, and when it did not come.

import { button, element, fill } from "./dom.js";
import { t } from "./i18n.js";
import { settings } from "./session.js";

/**
 * Fill a place with what `load` returns. What stood there before stays until then; styles show that it is busy, and
 * only if it takes long enough to be noticed. A failure stands in the place, with a button that tries again: this place,
 * unless `again` does more.
 */
export async function settle(place, load, signal, again = () => settle(place, load, signal)) {
  place.setAttribute("aria-busy", "true");
  try {
    const made = await load();
    if (signal.aborted) return;
    if (made !== undefined) fill(place, made);
  } catch (error) {
    if (signal.aborted) return;
    fill(place, failed(error, again));
    // A mistake of the page itself: nobody shall wait for ever, and the console shall have it.
    if (error.status === undefined) reportError(error);
  }
  place.removeAttribute("aria-busy");
}

/** Make the notice of a failure, which can be tried again. */
export function failed(error, again) {
  return element(
    "div",
    { class: "notice notice-error", role: "alert" },
    element("strong", {}, t("error.title")),
    element("p", {}, error.status === undefined ? t("error.unexpected") : error.message),
    button(t("error.again"), again, { class: "small" }),
  );
}

/** Make the notice of a log that has no rows at all, with the command that would write the first. */
export function emptyLog() {
  const command =
    `curl ${settings.api} \\\n  -H "Authorization: Bearer $WRITER_TOKEN" -H "Content-Type: application/json" \\\n` +
    `  -d '{"username": "alice", "model_name": "gpt-4o", "quota": 1200, "prompt_tokens": 50}'`;
  return element(
    "div",
    { class: "notice" },
    element("strong", {}, t("empty.log")),
    element("p", {}, t("empty.curl")),
    element("pre", { tabindex: "0" }, command),
  );
}

/** Make the notice of filters that leave nothing. */
export function nothingFound(clear) {
  return element(
    "div",
    { class: "notice" },
    element("strong", {}, t("empty.filtered")),
    element("p", {}, t("empty.hint")),
    clear === undefined ? null : button(t("filter.clear"), clear, { class: "small" }),
  );
}
