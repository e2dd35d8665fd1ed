// Who looks at the page. The access token lives as long as the tab, and neither it nor a key is ever part of a URL.

const KEPT = "logservice.token";

export const settings = {
  api: address(document.body.dataset.api),
  user: new URL(document.body.dataset.user, document.baseURI),
  // Whether somebody may be known without an access token.
  hostLogin: document.body.dataset.login === "host",
  quotaPerUnit: Number(document.body.dataset.quotaPerUnit),
  currency: document.body.dataset.currency,
};

/** `user` is {id, username, role} once somebody is signed in. */
export const session = { user: null };

/** Return the access token, or null. */
export function token() {
  return sessionStorage.getItem(KEPT);
}

/** Keep a token; null forgets it, and who had it. */
export function keepToken(value) {
  if (value === null) {
    sessionStorage.removeItem(KEPT);
    session.user = null;
  } else {
    sessionStorage.setItem(KEPT, value);
  }
}

/** Whether all rows of the site may be seen. */
export function isAdmin() {
  return session.user?.role === "admin";
}

function address(relative) {
  return new URL(relative.endsWith("/") ? relative : `${relative}/`, document.baseURI);
}
