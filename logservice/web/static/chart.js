// Stacked bars over time. uPlot draws them; what a click means, the legend and the table behind it are ours.

import { button, element, fill } from "./dom.js";
import { clock, day, shortDay, shortMonth } from "./format.js";
import { t } from "./i18n.js";
import { isNamed } from "./series.js";

/** How wide a label below the bars is, with some room at its right, in pixels. */
const LABEL = 64;
/** Days of more than one year would need it beside them. */
const YEAR = 360 * 86400;

/** Make a chart; `format` and `formatShort` write values, `filter(name)` is called with what was clicked. */
export function barChart({ starts, series }, options) {
  const canvas = element("div", { class: "chart-canvas", role: "img", "aria-label": summary(series, options) });
  const tip = element("div", { class: "tip", hidden: true });
  const plot = element("div", { class: "chart-plot" }, canvas, tip);
  const node = element("div", { class: "chart" }, plot, legend(series, options), asTable({ starts, series }, options));
  let drawn = null;
  const draw = () => {
    drawn?.destroy();
    drawn = plotOf(canvas, tip, { starts, series }, options);
  };
  const sized = new ResizeObserver(() => {
    if (drawn === null) draw();
    else drawn.setSize({ width: canvas.clientWidth, height: canvas.clientHeight });
  });
  sized.observe(canvas);
  const themed = new MutationObserver(draw);
  themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const close = () => {
    sized.disconnect();
    themed.disconnect();
    drawn?.destroy();
  };
  return { node, close };
}

/** The colour of a place in the series, from the style sheet; others are the last one. */
function colour(place, series) {
  return style(series[place].name === null ? "--series-other" : `--series-${place + 1}`);
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function plotOf(canvas, tip, { starts, series }, options) {
  const bars = uPlot.paths.bars({ size: [0.82, 48], align: 1 });
  // The highest sums are drawn first, so that the lower ones stand before them.
  const order = series.map((_, place) => series.length - 1 - place);
  const sums = stacked(series);
  const lines = order.map((place) => ({ fill: colour(place, series), width: 0, paths: bars, points: { show: false } }));
  const at = (plot) => pointed(plot, sums);
  const drawing = {
    width: canvas.clientWidth,
    height: canvas.clientHeight,
    padding: [12, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: true, range: (_, min, max) => [min, endOf(starts, max)] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.05 : 1] } },
    axes: axes(starts, options),
    series: [{}, ...lines],
    hooks: { setCursor: [(plot) => showTip(tip, plot, { starts, series }, options)], setSelect: [(plot) => chooseRange(plot, options)] },
  };
  const plot = new uPlot(drawing, [starts, ...order.map((place) => sums[place])], canvas);
  plot.over.addEventListener("click", () => clicked(at(plot), series, options));
  plot.over.addEventListener("mouseleave", () => (tip.hidden = true));
  return plot;
}

function axes(starts, { formatShort, interval }) {
  const ink = style("--muted");
  const font = `12px ${style("--font")}`;
  const grid = { stroke: style("--line"), width: 1 };
  const dayLabel = starts.at(-1) - starts[0] > YEAR ? shortMonth : shortDay;
  const labels = (_, splits) => splits.map(interval === "hour" ? hourLabel : dayLabel);
  const splits = (plot) => labelled(starts, interval, plot.bbox.width / devicePixelRatio / LABEL);
  const times = { stroke: ink, font, grid: { show: false }, ticks: { show: false }, size: 26, gap: 6, align: 1, splits, values: labels };
  const size = (_, values) => 16 + 7 * Math.max(6, ...(values ?? []).map((value) => value.length));
  const sizes = { stroke: ink, font, grid, ticks: { show: false }, size, values: (_, splits) => splits.map(formatShort) };
  return [times, sizes];
}

/** Return the starts that are named below their bars, of which `most` have room: hours at even times of a day. */
export function labelled(starts, interval, most) {
  const apart = Math.ceil(starts.length / Math.max(1, most));
  // The last bars have no room at their right.
  const roomy = starts.slice(0, Math.max(1, starts.length - Math.ceil(apart * 0.7) + 1));
  const each = (some, step) => some.filter((_, place) => place % step === 0);
  if (interval !== "hour") return each(roomy, apart);
  const hours = [1, 2, 3, 6, 12].find((step) => step >= apart);
  if (hours !== undefined) return roomy.filter((start) => new Date(start * 1000).getHours() % hours === 0);
  return each(roomy.filter((start) => new Date(start * 1000).getHours() === 0), Math.ceil(apart / 24));
}

function hourLabel(second) {
  const time = clock(second).slice(0, 5);
  return time === "00:00" ? shortDay(second) : time;
}

/** The last bar needs room at its right. */
function endOf(starts, max) {
  const width = starts.length > 1 ? starts.at(-1) - starts.at(-2) : 3600;
  return max + width;
}

function stacked(series) {
  let before = null;
  return series.map(({ values }) => {
    before = values.map((value, position) => value + (before === null ? 0 : before[position]));
    return before;
  });
}

/** Return {position, place} of the bar, and the piece of it, under the pointer. */
function pointed(plot, sums) {
  const { left, top } = plot.cursor;
  const position = barAt(plot, left);
  const value = plot.posToVal(top, "y");
  const place = sums.findIndex((values) => value <= values[position]);
  return place === -1 ? null : { position, place };
}

/** A bar reaches from its beginning to the next one. */
function barAt(plot, left) {
  const second = plot.posToVal(left, "x");
  const position = plot.data[0].findLastIndex((start) => start <= second);
  return Math.max(0, position);
}

function clicked(found, series, { filter }) {
  if (found !== null && isNamed(series[found.place].name)) filter(series[found.place].name);
}

/** Who drags over some bars asks for their time. A click is a drag of no width. */
function chooseRange(plot, { choose }) {
  if (plot.select.width < 8) return;
  const starts = plot.data[0];
  const first = barAt(plot, plot.select.left);
  const last = barAt(plot, plot.select.left + plot.select.width);
  choose(starts[first], (starts[last + 1] ?? endOf(starts, starts[last])) - 1);
}

function showTip(tip, plot, { starts, series }, { format, interval, label }) {
  const { left } = plot.cursor;
  tip.hidden = left === undefined || left < 0;
  if (tip.hidden) return;
  const position = barAt(plot, left);
  const shown = series.map((one, place) => ({ ...one, place })).filter((one) => one.values[position] !== 0);
  const lines = shown.map((one) => tipLine(colourClass(one.place, series), label(one.name), format(one.values[position])));
  const title = element("strong", {}, intervalLabel(starts[position], interval));
  const sum = series.reduce((total, one) => total + one.values[position], 0);
  fill(tip, title, tipLine("", t("chart.sum"), format(sum)), lines);
  const room = plot.over.clientWidth + plot.over.offsetLeft;
  const beside = left + plot.over.offsetLeft + 14;
  tip.style.left = `${beside + tip.offsetWidth > room ? beside - tip.offsetWidth - 28 : beside}px`;
}

function tipLine(kind, name, value) {
  return element("div", {}, element("i", { class: `swatch ${kind}` }), element("span", {}, name), element("b", {}, value));
}

function colourClass(place, series) {
  return series[place].name === null ? "series-other" : `series-${place + 1}`;
}

function intervalLabel(start, interval) {
  return interval === "hour" ? `${day(start)} ${clock(start).slice(0, 5)}` : day(start);
}

function legend(series, { filter, label, format }) {
  const entries = series.map((one, place) => {
    const total = format(one.values.reduce((sum, value) => sum + value, 0));
    const content = [element("i", { class: `swatch ${colourClass(place, series)}` }), element("span", {}, label(one.name))];
    if (!isNamed(one.name)) return element("li", {}, element("span", { class: "entry", title: total }, content));
    const title = t("filter.by", { value: label(one.name) });
    return element("li", {}, button(content, () => filter(one.name), { class: "entry", title: `${title} (${total})` }));
  });
  return element("ul", { class: "legend" }, entries);
}

function summary(series, { title, label, format }) {
  const parts = series.map((one) => `${label(one.name)} ${format(one.values.reduce((sum, value) => sum + value, 0))}`);
  return `${title}: ${parts.join(", ")}`;
}

/** The same as a table, for those who cannot see bars and those who want the numbers. Made when it is opened. */
function asTable({ starts, series }, { interval, label, format, title }) {
  const place = element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": title });
  const build = () => {
    const heads = series.map((one) => element("th", { scope: "col", class: "number" }, label(one.name)));
    const lines = starts.map((start, position) => {
      const cells = series.map((one) => element("td", { class: "number" }, format(one.values[position])));
      return element("tr", {}, element("th", { scope: "row" }, intervalLabel(start, interval)), cells);
    });
    const head = element("tr", {}, element("th", { scope: "col" }, t("column.time")), heads);
    fill(place, element("table", { class: "numbers" }, element("thead", {}, head), element("tbody", {}, lines)));
  };
  const opened = (event) => event.target.open && build();
  return element("details", { class: "as-table", on: { toggle: opened } }, element("summary", {}, t("chart.table")), place);
}
