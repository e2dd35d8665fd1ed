// What stands around every view: the name, the ways to other views, and the switches for language and theme.

import { button, element } from "./dom.js";
import { fragmentOf } from "./fragment.js";
import { chooseLanguage, language, t } from "./i18n.js";
import { icon } from "./icons.js";
import { isAdmin, session, token } from "./session.js";

/** Make the frame. `leave` signs out, `redraw` draws everything anew. */
export function frame({ view, params, leave, redraw }) {
  const main = element("main", { id: "main", tabindex: "-1" });
  const nav = session.user === null ? null : navigation(view, params);
  const header = element("header", { class: "top" }, brand(), nav, tools({ leave, redraw }));
  const skip = element("a", { class: "skip", href: "#main", on: { click: (event) => jump(event, main) } }, t("frame.skip"));
  return { nodes: [skip, header, main], main };
}

/** The fragment of the URL says what is looked at, so a jump within the page must leave it alone. */
function jump(event, main) {
  event.preventDefault();
  main.focus();
}

function brand() {
  const source = document.querySelector("link[rel=icon]").href;
  const sign = element("img", { src: source, alt: "", width: 22, height: 22 });
  return element("a", { class: "brand", href: fragmentOf("overview") }, sign, element("span", {}, "logservice"));
}

/** Filters go along from view to view. */
function navigation(view, params) {
  const { p: _, keyword: __, ...kept } = params;
  const names = ["overview", "logs", "search", ...(isAdmin() ? ["maintenance"] : [])];
  const links = names.map((name) => {
    const current = name === view ? "page" : null;
    return element("a", { href: fragmentOf(name, name === "maintenance" ? {} : kept), "aria-current": current }, t(`view.${name}`));
  });
  return element("nav", { class: "views", "aria-label": t("frame.views") }, links);
}

function tools({ leave, redraw }) {
  const other = language() === "zh" ? "en" : "zh";
  const toLanguage = () => {
    chooseLanguage(other);
    redraw();
  };
  const name = other === "zh" ? "中文" : "English";
  const tongue = button(name, toLanguage, { class: "quiet", lang: other === "zh" ? "zh-CN" : "en", id: "language" });
  const who = session.user && element("span", { class: "who" }, session.user.username || String(session.user.id));
  const out = (session.user ?? token()) && button(icon("leave"), leave, { class: "bare", "aria-label": t("frame.leave"), title: t("frame.leave"), id: "leave" });
  return element("div", { class: "tools" }, tongue, themeSwitch(), who, out);
}

function themeSwitch() {
  const label = () => t(isDark() ? "frame.light" : "frame.dark");
  const change = () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("logservice.theme", theme);
    made.setAttribute("aria-label", label());
    made.title = label();
  };
  const made = button([icon("sun"), icon("moon")], change, { class: "bare", id: "theme", "aria-label": label(), title: label() });
  return made;
}

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}
