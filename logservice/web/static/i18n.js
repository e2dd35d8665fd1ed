// The language of the page: that of the browser, unless another was chosen.

import english from "./messages/en.js";
import chinese from "./messages/zh.js";

const KEPT = "logservice.language";
const DICTIONARIES = { en: english, zh: chinese };
const LOCALES = { en: undefined, zh: "zh-CN" };

let current = localStorage.getItem(KEPT) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
if (!(current in DICTIONARIES)) current = "en";

/** Return `en` or `zh`. */
export function language() {
  return current;
}

/** Return the locale for numbers and times: English speakers keep the one of their browser. */
export function locale() {
  const own = navigator.language;
  return LOCALES[current] ?? (own.toLowerCase().startsWith("en") ? own : "en-GB");
}

/** Change the language and remember it. */
export function chooseLanguage(name) {
  current = name;
  localStorage.setItem(KEPT, name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
}

/**
 * Return a text of the page, `{name}` in it replaced by `values.name`, and `{name|row|rows}` by the form that goes with
 * that number: the first if it is one, in languages that care.
 */
export function t(key, values = {}) {
  const text = DICTIONARIES[current][key];
  if (text === undefined) throw new Error(`there is no text ${key}`);
  const form = (name, one, other) => (new Intl.PluralRules(locale()).select(Number(values[name])) === "one" ? one : other);
  return text.replace(/\{(\w+)(?:\|(.*?)\|(.*?))?\}/g, (_, name, one, other) => (one === undefined ? values[name] : form(name, one, other)));
}
