// The door: an access token, or a key whose rows can be seen without one.

import { button, element, fill } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

export function openSignIn(main, { enter, lookUp }) {
  const update = (params, signal) => fill(main, door(params, signal, { enter, lookUp }));
  return { update };
}

function door(params, signal, { enter, lookUp }) {
  const expired = params.expired ? element("p", { class: "notice notice-warning", role: "status" }, t("signin.expired")) : null;
  const byToken = form({
    title: t("signin.title"),
    label: t("signin.token"),
    hint: t("signin.hint"),
    action: t("signin.enter"),
    id: "token",
    submit: (value) => enter(value, signal),
    unknown: (value) => t(value.startsWith("sk-") ? "signin.isKey" : "signin.unknown"),
    signal,
  });
  const byKey = form({
    title: t("signin.keyTitle"),
    label: t("signin.key"),
    hint: t("signin.keyHint"),
    action: t("signin.lookUp"),
    id: "key",
    submit: (value) => lookUp(value, signal),
    unknown: () => t("signin.unknown"),
    signal,
  });
  const node = element("div", { class: "door" }, expired, byToken, byKey);
  requestAnimationFrame(() => node.querySelector("input").focus());
  return node;
}

function form({ title, label, hint, action, id, submit, unknown, signal }) {
  const input = element("input", {
    id,
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": `${id}-hint`,
  });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const send = element("button", { type: "submit", class: "primary" }, action);
  const sent = async (event) => {
    // No form of this page is ever sent: what was typed here must not get into a URL.
    event.preventDefault();
    input.value = input.value.trim();
    if (!input.reportValidity()) return;
    fill(wrong);
    send.disabled = true;
    const value = input.value;
    try {
      await submit(value);
    } catch (error) {
      // Another language was chosen, for instance: this form is gone.
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      fill(wrong, error.status === 401 ? unknown(value) : error.message);
      input.select();
    }
    send.disabled = false;
  };
  const line = element("div", { class: "line" }, input, seen(input), send);
  const about = element("p", { id: `${id}-hint`, class: "hint" }, hint);
  return element("form", { class: "panel", on: { submit: sent } }, element("h1", {}, title), element("label", { for: id }, label), line, wrong, about);
}

/** Let people see what they pasted. */
function seen(input) {
  const show = (event) => {
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    event.currentTarget.setAttribute("aria-pressed", String(hidden));
  };
  return button(icon("eye"), show, { class: "bare", "aria-label": t("signin.see"), "aria-pressed": "false" });
}
