// The page begins here: who looks, at what, and what happens when either changes.

import { Failure, whoAsks } from "./api.js";
import { fill } from "./dom.js";
import { amend, go, onFragment, readFragment } from "./fragment.js";
import { frame } from "./frame.js";
import { chooseLanguage, language, t } from "./i18n.js";
import { keepToken, session, settings, token } from "./session.js";
import { onExpired, settle } from "./states.js";
import { openKey } from "./views/key.js";
import { openLogs } from "./views/logs.js";
import { openMaintenance } from "./views/maintenance.js";
import { openOverview } from "./views/overview.js";
import { openSearch } from "./views/search.js";
import { openSignIn } from "./views/signin.js";

const VIEWS = { overview: openOverview, logs: openLogs, search: openSearch, maintenance: openMaintenance };
const place = document.getElementById("app");

/** The view that is open: {name, update, close, aborter}. */
let current = null;
/** The key whose rows are looked at; it is kept nowhere else. */
let key = null;

function show() {
  const { view, params } = readFragment();
  if (current !== null && current.name === nameOf(view)) {
    renewFrame(view, params);
    load(params);
    return;
  }
  open(view, params);
}

/** Return what is shown for a name in the URL: strangers see the door, whatever the URL says. */
function nameOf(view) {
  if (session.user === null) return key === null ? "signin" : "key";
  return Object.hasOwn(VIEWS, view) ? view : "overview";
}

function open(view, params) {
  close();
  const isFirst = place.childElementCount === 0;
  const name = nameOf(view);
  const around = frame({ view: name, params, leave, redraw });
  fill(place, around.nodes);
  if (!isFirst) around.main.focus({ preventScroll: true });
  document.title = `${t(`view.${name}`)} · logservice`;
  const opener = { ...VIEWS, signin: openSignIn, key: openKey }[name];
  const controls = { go: (changed) => go(name, changed), amend: (changed) => amend(name, changed), enter, lookUp, leave, key };
  current = { name, ...opener(around.main, controls), aborter: new AbortController() };
  load(params);
}

function load(params) {
  current.aborter.abort();
  current.aborter = new AbortController();
  current.update(params, current.aborter.signal);
}

/** The links to other views take the filters along, so they change with them. */
function renewFrame(view, params) {
  const around = frame({ view: nameOf(view), params, leave, redraw });
  const nav = place.querySelector("nav.views");
  if (nav !== null) fill(nav, [...around.nodes[1].querySelector("nav.views").children]);
}

function close() {
  current?.aborter.abort();
  current?.close?.();
  current = null;
}

function redraw() {
  close();
  show();
  document.getElementById("language").focus();
}

async function enter(given, signal) {
  keepToken(given);
  try {
    const user = await whoAsks(signal);
    if (user.role === "writer") throw new Failure(403, t("signin.writer"));
    session.user = user;
  } catch (error) {
    keepToken(null);
    throw error;
  }
  redrawAll();
}

function lookUp(given) {
  key = given;
  redrawAll();
}

function leave() {
  keepToken(null);
  key = null;
  redrawAll();
}

function redrawAll() {
  close();
  show();
}

/** Ask who is there, unless it can be nobody. A host may know its people by their cookies, without any token. */
async function begin() {
  chooseLanguage(language());
  onExpired(() => {
    keepToken(null);
    close();
    open("signin", { expired: "1" });
  });
  onFragment(show);
  try {
    if (token() !== null || settings.hostLogin) session.user = await whoAsks();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status !== 401) return settle(place, () => Promise.reject(error), new AbortController().signal);
    keepToken(null);
  }
  show();
}

begin();
