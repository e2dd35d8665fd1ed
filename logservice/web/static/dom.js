// Elements, made of names, attributes and texts. There is no way in here to make one out of HTML.

/**
 * Make an element. `attributes` are set as they are, except that `on` holds listeners by event, true stands for an
 * attribute without a value, and null, undefined and false for none. Children that are null are left out.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make a button that does something. */
export function button(label, onClick, attributes = {}) {
  return element("button", { type: "button", ...attributes, on: { click: onClick } }, label);
}

/** Make a list of choices; `choices` are pairs of value and label. */
export function select(choices, chosen, onChange, attributes = {}) {
  const options = choices.map(([value, label]) =>
    element("option", { value, selected: value === chosen }, label),
  );
  const listener = (event) => onChange(event.target.value);
  return element("select", { ...attributes, on: { change: listener } }, options);
}

/** Make a row of buttons of which one is pressed; `choices` are pairs of value and label. */
export function segments(label, choices, chosen, onChoose) {
  const buttons = choices.map(([value, text]) =>
    button(text, () => onChoose(value), { "aria-pressed": String(value === chosen), "data-value": value }),
  );
  return element("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

/**
 * Set text or other nodes as the only content of an element. If the keyboard was in there it goes on where the same
 * control is now, or else at the beginning of the view: nobody who presses a button is sent back to the top of the page.
 */
export function fill(parent, ...children) {
  const focused = document.activeElement;
  const held = focused !== parent && parent.contains(focused) ? nameOf(focused) : null;
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  if (held === null) return;
  const heir = [...parent.querySelectorAll(focused.tagName)].find((one) => nameOf(one) === held);
  (heir ?? parent.closest("main"))?.focus({ preventScroll: true });
}

/** What people, and screen readers, know a control by. */
function nameOf(control) {
  const group = control.closest("[role=group]")?.getAttribute("aria-label");
  return [group, control.id, control.getAttribute("aria-label") ?? control.textContent].join("\n");
}
