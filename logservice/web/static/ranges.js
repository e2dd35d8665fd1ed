// Ranges of time, and the hours, days and weeks within them, all in the time zone of the browser.

export const RANGES = ["1h", "today", "7d", "30d", "all", "custom"];
export const USUAL_RANGE = "7d";
const HOUR = 3600;
const DAY = 24 * HOUR;

/** Return {start, end} in epoch seconds of the parameters of a view; 0 is an open end. */
export function rangeOf(params, now = Date.now()) {
  switch (params.range ?? USUAL_RANGE) {
    case "1h":
      return { start: Math.floor(now / 1000) - HOUR, end: 0 };
    case "today":
      return { start: midnight(now, 0), end: 0 };
    case "30d":
      return { start: midnight(now, 29), end: 0 };
    case "all":
      return { start: 0, end: 0 };
    case "custom":
      return { start: Number(params.start ?? 0), end: Number(params.end ?? 0) };
    default:
      return { start: midnight(now, 6), end: 0 };
  }
}

/** Return what suits a range: bars of an hour, a day or a week. */
export function usualInterval({ start, end }, now = Date.now()) {
  if (start === 0) return "week";
  const length = (end || now / 1000) - start;
  if (length <= 3 * DAY) return "hour";
  return length <= 92 * DAY ? "day" : "week";
}

/** Return the beginnings of all intervals from the one of `first` to the one of `last`, in epoch seconds. */
export function beginnings(interval, first, last) {
  const found = [];
  for (let at = beginning(interval, first); at <= last; at = following(interval, at)) found.push(at);
  return found;
}

/** Return when the interval after the one that begins at `start` begins. */
export function following(interval, start) {
  if (interval === "hour") return start + HOUR;
  const date = new Date(start * 1000);
  date.setDate(date.getDate() + (interval === "week" ? 7 : 1));
  return date.getTime() / 1000;
}

function beginning(interval, second) {
  const date = new Date(second * 1000);
  date.setMinutes(0, 0, 0);
  // By its own clock, for the hour that is lived through twice in autumn begins twice.
  if (interval === "hour") return date.getTime() / 1000;
  date.setHours(0);
  if (interval === "week") date.setDate(date.getDate() - ((date.getDay() + 6) % 7));
  return date.getTime() / 1000;
}

function midnight(now, daysBefore) {
  const date = new Date(now);
  date.setHours(0, 0, 0, 0);
  date.setDate(date.getDate() - daysBefore);
  return date.getTime() / 1000;
}
