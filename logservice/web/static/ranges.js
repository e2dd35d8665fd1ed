// Ranges of time, and the hours, days and weeks within them, all in the time zone of the browser.

export const RANGES = ["1h", "today", "7d", "30d", "all", "custom"];
export const USUAL_RANGE = "7d";
/** What a bar can stand for, the shortest first. */
export const INTERVALS = ["hour", "day", "week"];
const HOUR = 3600;
const DAY = 24 * HOUR;
const LENGTHS = { hour: HOUR, day: DAY, week: 7 * DAY };
/** More bars would be thinner than a line. */
const MOST_BARS = 2500;
/** The last second that a row can have. */
const LAST = 2 ** 32 - 1;

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
      return { start: second(params.start), end: second(params.end) };
    default:
      return { start: midnight(now, 6), end: 0 };
  }
}

/** What is no moment that a row can have is an open end. */
function second(text) {
  return Math.min(LAST, Math.max(0, Math.floor(Number(text)) || 0));
}

/** Return what suits a range: bars of an hour, a day or a week. */
export function usualInterval({ start, end }, now = Date.now()) {
  if (start === 0) return "week";
  const length = (end || now / 1000) - start;
  if (length <= 3 * DAY) return "hour";
  return length <= 92 * DAY ? "day" : "week";
}

/** Return the interval that was asked for, or the next longer one of which the range does not have too many. */
export function fittingInterval(interval, { start, end }, now = Date.now()) {
  const length = (end || now / 1000) - start;
  return INTERVALS.slice(INTERVALS.indexOf(interval)).find((one) => length / LENGTHS[one] <= MOST_BARS) ?? "week";
}

/** Return the beginnings of all intervals from the one of `first` to the one of `last`, in epoch seconds. */
export function beginnings(interval, first, last) {
  const found = [];
  for (let at = beginning(interval, first); at <= last; at = following(interval, at)) found.push(at);
  return found;
}

/** Return when the interval after the one that begins at `start` begins. */
export function following(interval, start) {
  if (interval === "hour") return start + HOUR - sinceFullHour(start);
  return midnight(start * 1000, interval === "week" ? -7 : -1);
}

function beginning(interval, at) {
  // By its own clock, for the hour that is lived through twice in autumn begins twice.
  if (interval === "hour") return at - sinceFullHour(at);
  const weekday = (new Date(at * 1000).getDay() + 6) % 7;
  return midnight(at * 1000, interval === "week" ? weekday : 0);
}

/** Seconds on the clock since it last showed a full hour; some clocks are put forward by half of one. */
function sinceFullHour(at) {
  const date = new Date(at * 1000);
  return date.getMinutes() * 60 + date.getSeconds();
}

/** The day first, then the hour: where midnight is skipped a day begins at one, but the next one does not. */
function midnight(now, daysBefore) {
  const date = new Date(now);
  date.setDate(date.getDate() - daysBefore);
  date.setHours(0, 0, 0, 0);
  return date.getTime() / 1000;
}
