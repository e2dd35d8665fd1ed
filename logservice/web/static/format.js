// Numbers, amounts and times as people read them: in the language of the page and the time zone of the browser.

import { locale, t } from "./i18n.js";
import { settings } from "./session.js";

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const formats = new Map();

/** Making a format takes longer than using it a hundred times. */
function format(kind, options) {
  const key = `${locale()} ${kind.name} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new kind(locale(), options));
  return formats.get(key);
}

/** 1234567 as 1,234,567. */
export function whole(value) {
  return format(Intl.NumberFormat, {}).format(value);
}

/** 1234567 as 1.23M, or 123万: for figures that are looked at rather than added up. */
export function short(value) {
  if (Math.abs(value) < 10000) return whole(value);
  return format(Intl.NumberFormat, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

/** A ratio or a price, without digits that say nothing. */
export function plain(value) {
  return format(Intl.NumberFormat, { maximumSignificantDigits: 8 }).format(value);
}

/** Quota as an amount with two digits, for sums; what is less than a cent has as many as it needs. */
export function amount(quota) {
  const cents = Math.abs(quota / settings.quotaPerUnit) * 100;
  return cents > 0 && cents < 1 ? price(quota) : money(quota, 2, 2);
}

/** Quota as an amount of one call, whose digits stand below each other. */
export function price(quota) {
  return money(quota, 6, 6);
}

function money(quota, least, most) {
  const value = quota / settings.quotaPerUnit;
  const digits = { minimumFractionDigits: least, maximumFractionDigits: most };
  const sign = value < 0 ? "−" : "";
  return sign + settings.currency + format(Intl.NumberFormat, digits).format(Math.abs(value));
}

/** Quota as a short amount, for the axis of a chart. */
export function shortAmount(quota) {
  const value = quota / settings.quotaPerUnit;
  const digits = { notation: "compact", maximumSignificantDigits: 3 };
  return settings.currency + format(Intl.NumberFormat, digits).format(value);
}

/** Milliseconds as seconds. */
export function duration(milliseconds) {
  const digits = milliseconds < 10000 ? 2 : 1;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${format(Intl.NumberFormat, options).format(milliseconds / 1000)} s`;
}

/** Epoch seconds as 2026-10-09 12:34:56: sorts as it reads, and is as wide in every row. */
export function moment(seconds) {
  return `${day(seconds)} ${clock(seconds)}`;
}

/** Epoch seconds as 2026-10-09. */
export function day(seconds) {
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Epoch seconds as 10-09 if that is of this year: a column of years says nothing. */
export function dayOfTable(seconds) {
  const full = day(seconds);
  return full.startsWith(`${new Date().getFullYear()}-`) ? full.slice(5) : full;
}

/** Epoch seconds as 12:34:56. */
export function clock(seconds) {
  const date = new Date(seconds * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Epoch seconds as the day of a short text: 9 Oct, 10月9日. */
export function shortDay(seconds) {
  return format(Intl.DateTimeFormat, { month: "short", day: "numeric" }).format(seconds * 1000);
}

/** Epoch seconds as the month of a short text, for years of them: Oct 2026, 2026年10月. */
export function shortMonth(seconds) {
  return format(Intl.DateTimeFormat, { month: "short", year: "numeric" }).format(seconds * 1000);
}

/** Bytes as 12.3 MB. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  const options = { maximumFractionDigits: step === 0 ? 0 : 1 };
  return `${format(Intl.NumberFormat, options).format(value / 1000 ** step)} ${units[step]}`;
}

/** A share of a whole as 12.3 %. */
export function percent(part, all) {
  const options = { style: "percent", maximumFractionDigits: 1 };
  return all === 0 ? "–" : format(Intl.NumberFormat, options).format(part / all);
}

const TYPES = { 1: "topup", 2: "consume", 3: "manage", 4: "error", 5: "system", 6: "refund", 7: "login" };

/** The name by which styles and the API know a type, or null for a number without one. */
export function typeName(number) {
  return Object.hasOwn(TYPES, number) ? TYPES[number] : null;
}

/** The name of a type in the language of the page. */
export function typeLabel(number) {
  return Object.hasOwn(TYPES, number) ? t(`type.${TYPES[number]}`) : String(number);
}

/** All types as pairs of number and label. */
export function typeChoices() {
  return Object.keys(TYPES).map((number) => [number, typeLabel(number)]);
}

function two(number) {
  return String(number).padStart(2, "0");
}
