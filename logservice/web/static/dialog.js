// A dialog above the page, which Escape closes. The browser keeps the keyboard inside, and gives it back afterwards.

import { button, element } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Open a dialog and return {node, body, close}; `closed` is called once it is gone. */
export function openDialog(title, closed = () => {}) {
  const heading = element("h2", { id: "dialog-title" }, title);
  const body = element("div", { class: "dialog-body" });
  const leave = button(icon("close"), () => node.close(), { class: "bare", "aria-label": t("dialog.close") });
  const node = element("dialog", { "aria-labelledby": "dialog-title" }, element("header", {}, heading, leave), body);
  node.addEventListener("close", () => {
    node.remove();
    closed();
  });
  document.body.append(node);
  node.showModal();
  return { node, body, close: () => node.close() };
}

/** Close what is open above a view that goes away. */
export function closeDialogs() {
  for (const node of document.querySelectorAll("dialog[open]")) node.close();
}
