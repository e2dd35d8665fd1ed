// The page begins here: who looks, at what, and what happens when either changes.

import { Failure, onExpired, readByKey, whoAsks } from "./api.js";
import { closeDialogs } from "./dialog.js";
import { fill } from "./dom.js";
import { amend, go, onFragment, readFragment } from "./fragment.js";
import { frame } from "./frame.js";
import { chooseLanguage, language, t } from "./i18n.js";
import { isAdmin, keepToken, session, settings, token } from "./session.js";
import { openKey } from "./views/key.js";
import { openLogs } from "./views/logs.js";
import { openMaintenance } from "./views/maintenance.js";
import { openOverview } from "./views/overview.js";
import { openSearch } from "./views/search.js";
import { openSignIn } from "./views/signin.js";
import { openStart } from "./views/start.js";

const VIEWS = { overview: openOverview, logs: openLogs, search: openSearch, maintenance: openMaintenance };
const place = document.getElementById("app");

/** The view that is open: {name, update, close, aborter}. */
let current = null;
/** The key whose rows are looked at; it is kept nowhere else. */
let key = null;
/** Whether it has yet to be found out who asks. A host may know its people by their cookies, without any token. */
let isUnknown = token() !== null || settings.hostLogin;

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
  if (isUnknown) return "start";
  if (session.user === null) return key === null ? "signin" : "key";
  return Object.hasOwn(VIEWS, view) && (view !== "maintenance" || isAdmin()) ? view : "overview";
}

function open(view, params) {
  const isFirst = current === null || current.name === "start";
  close();
  const name = nameOf(view);
  const around = frame({ view: name, params, leave, redraw });
  fill(place, around.nodes);
  if (!isFirst) around.main.focus({ preventScroll: true });
  document.title = `${t(`view.${name}`)} · logservice`;
  const opener = { ...VIEWS, start: openStart, signin: openSignIn, key: openKey }[name];
  const controls = { go: (changed) => go(name, changed), amend: (changed) => amend(name, changed), recognise, enter, lookUp, leave, key };
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
  closeDialogs();
  current?.aborter.abort();
  current?.close?.();
  current = null;
}

function redraw() {
  redrawAll();
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

async function lookUp(given, signal) {
  await readByKey(given, { page_size: 1 }, signal);
  key = given;
  redrawAll();
}

function leave() {
  keepToken(null);
  isUnknown = false;
  key = null;
  redrawAll();
}

function redrawAll() {
  const { view, params } = readFragment();
  open(view, params);
}

/** Find out who asks, and show them what they may see. */
async function recognise(signal) {
  try {
    session.user = await whoAsks(signal);
  } catch (error) {
    if (error.status !== 401) throw error;
    keepToken(null);
  }
  isUnknown = false;
  redrawAll();
}

chooseLanguage(language());
onExpired(() => {
  keepToken(null);
  open("signin", { expired: "1" });
});
onFragment(show);
show();
