// The few icons of the page, drawn as lines in the colour of the text around them.

const SPACE = "http://www.w3.org/2000/svg";
const PATHS = {
  sun: "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M3 13l1.5-1.5M11.5 4.5L13 3M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  moon: "M13 10.2A5.8 5.8 0 0 1 5.8 3 5.8 5.8 0 1 0 13 10.2z",
  open: "M6 3.5L10.5 8L6 12.5",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  close: "M4 4l8 8M12 4l-8 8",
  save: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.5h10",
  leave: "M6 2.5H3v11h3M7 8h7M11 5l3 3-3 3",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  done: "M3 8.5L6.5 12L13 4.5",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
};

/** Make an icon. It says nothing to a screen reader: the button around it has a label. */
export function icon(name) {
  const drawing = document.createElementNS(SPACE, "svg");
  const path = document.createElementNS(SPACE, "path");
  path.setAttribute("d", PATHS[name]);
  drawing.append(path);
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  drawing.classList.add("icon", `icon-${name}`);
  return drawing;
}
