// What is looked at, kept in the fragment of the URL: `#/logs?model_name=gpt-4o&range=7d`. A bookmark brings it back,
// and it never reaches a server.

/** How long a press may hold back what it would otherwise lose; the release of some is never told. */
const LONGEST_PRESS = 1000;

let show = () => {};
let isPressed = false;
let isDue = false;

/** Return {view, params} of the current URL. */
export function readFragment() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { view: decoded(path), params: Object.fromEntries(new URLSearchParams(query)) };
}

/** A link that was cut or mistyped is no reason to show nothing. */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Return the parameters of the current URL with some changed. What is drawn may be a click behind. */
export function amended(values) {
  return { ...readFragment().params, ...values };
}

/** Return the fragment of a view with parameters; empty ones are left out. */
export function fragmentOf(view, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(kept).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Go to a view; the browser's back button returns. Going where one is already asks for everything anew. */
export function go(view, params) {
  const fragment = fragmentOf(view, params);
  if (fragment === location.hash) changed();
  else location.hash = fragment;
}

/** Take the parameters of a view without a step in the history. */
export function amend(view, params) {
  history.replaceState(null, "", fragmentOf(view, params));
}

/**
 * Have `action` called after each change of the fragment, but not while a pointer is pressed: who types into a filter
 * and then clicks leaves the field by pressing, and what is pressed must still be there to be clicked.
 */
export function onFragment(action) {
  show = action;
  addEventListener("hashchange", changed);
  addEventListener("click", (event) => {
    if (event.target.closest?.("a[href^='#/']")?.hash === location.hash) changed();
  });
  let longest;
  const press = () => {
    isPressed = true;
    // The end of an earlier press is not that of this one.
    clearTimeout(longest);
    longest = setTimeout(release, LONGEST_PRESS);
  };
  addEventListener("pointerdown", press, true);
  // The click comes first.
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(release), true);
}

function changed() {
  if (isPressed) isDue = true;
  else show();
}

function release() {
  isPressed = false;
  if (!isDue) return;
  isDue = false;
  show();
}
