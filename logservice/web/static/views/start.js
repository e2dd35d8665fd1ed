// What is there until it is known who asks; if that cannot be found out, it says why and asks again.

import { element, fill } from "../dom.js";
import { settle } from "../states.js";

export function openStart(main, { recognise }) {
  const place = element("div", { class: "place" });
  fill(main, place);
  const update = (_, signal) => settle(place, () => recognise(signal), signal);
  return { update };
}
