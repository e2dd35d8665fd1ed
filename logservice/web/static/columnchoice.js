// Which columns the table shows: a list of boxes behind a button, remembered by the browser.

import { chooseColumn, chosenColumns, possibleColumns } from "./columns.js";
import { element } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Make the choice; `changed()` is called after each change. */
export function columnChoice(changed) {
  const chosen = chosenColumns();
  const boxes = possibleColumns().map(({ key }) => {
    const choose = (event) => {
      chooseColumn(key, event.target.checked);
      changed();
    };
    const box = element("input", { type: "checkbox", checked: chosen.includes(key), on: { change: choose } });
    return element("label", {}, box, t(`column.${key}`));
  });
  const summary = element("summary", { class: "button small" }, icon("columns"), t("logs.columns"));
  const node = element("details", { class: "menu" }, summary, element("div", { class: "menu-body" }, boxes));
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    node.open = false;
    summary.focus();
  });
  // Like any menu it goes away when something else is used.
  node.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !node.contains(event.relatedTarget)) node.open = false;
  });
  return node;
}
