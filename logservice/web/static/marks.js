// Where a keyword stands in a text, in any case, as the search of the log finds it.

import { element } from "./dom.js";

/** A cell shows the beginning of a text; a mark behind more characters than these would not be seen. */
const VISIBLE = matchMedia("(max-width: 640px)").matches ? 8 : 30;

/** Return a function that makes nodes of a text, the keyword marked in them, what lies long before it left out. */
export function marker(keyword) {
  const wanted = folded(keyword).text;
  return (text) => (wanted === "" ? [text] : shortened(pieces(text, wanted)));
}

function shortened([before, ...rest]) {
  const isLong = rest.length > 0 && before.length > VISIBLE;
  return [isLong ? `…${before.slice(-VISIBLE)}` : before, ...rest];
}

function pieces(text, wanted) {
  const { text: searched, places } = folded(text);
  const made = [];
  let end = 0;
  for (let at = searched.indexOf(wanted); at !== -1; at = searched.indexOf(wanted, at + wanted.length)) {
    const from = places[at];
    const to = places[at + wanted.length - 1] + 1;
    if (from < end) continue;
    made.push(text.slice(end, from), element("mark", {}, text.slice(from, to)));
    end = to;
  }
  return [...made, text.slice(end)];
}

/** Fold case, and remember which character of the text each folded one stems from: ß becomes two. */
function folded(text) {
  const places = [];
  let result = "";
  for (let place = 0; place < text.length; place += 1) {
    const low = text[place].toUpperCase().toLowerCase();
    result += low;
    for (let one = 0; one < low.length; one += 1) places.push(place);
  }
  return { text: result, places };
}
