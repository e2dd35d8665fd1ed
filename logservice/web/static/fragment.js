// What is looked at, kept in the fragment of the URL: `#/logs?model_name=gpt-4o&range=7d`. A bookmark brings it back,
// and it never reaches a server.

/** Return {view, params} of the current URL. */
export function readFragment() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { view: decodeURIComponent(path), params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Return the fragment of a view with parameters; empty ones are left out. */
export function fragmentOf(view, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(kept).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Go to a view; the browser's back button returns. */
export function go(view, params) {
  location.hash = fragmentOf(view, params);
}

/** Take the parameters of a view without a step in the history. */
export function amend(view, params) {
  history.replaceState(null, "", fragmentOf(view, params));
}
