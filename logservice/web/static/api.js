// Questions to the log's own API. Failures are objects with the status and the message of the answer.

import { t } from "./i18n.js";
import { isAdmin, session, settings, token } from "./session.js";

/** Headers carry these characters and no others, and so do keys and access tokens. */
const CREDENTIAL = /^[\x20-\x7e]+$/;
/** What the API says in words that its specification prescribes. */
const PRESCRIBED = {
  "Token不存在或无权限": "error.key",
  "获取日志失败": "error.database",
  "搜索日志失败": "error.database",
  "获取统计信息失败": "error.database",
};
let whenExpired = () => {};

/** Say what to do when an answer tells that whoever is signed in is no longer known. */
export function onExpired(action) {
  whenExpired = action;
}

/** An answer that was no success; status 0 stands for no answer at all. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask who the caller is. */
export function whoAsks(signal) {
  return ask(settings.user, { signal });
}

/** Ask for rows or sums: of the whole site for administrators, of the caller for everybody else. */
export function read(path, query, signal) {
  return ask(logAddress(path, query), { signal });
}

/** Ask for what only administrators may see. */
export function administer(path, query, { method = "GET", signal } = {}) {
  return ask(withQuery(new URL(path, settings.api), query), { method, signal });
}

/** Ask for the rows of a key. */
export function readByKey(key, query, signal) {
  return ask(withQuery(new URL("token", settings.api), query), { credential: key, signal });
}

/** Start an export and return its response, whose body is the file. */
export function exported(query, signal) {
  return send(logAddress("export", query), { signal });
}

/** Return the URL of a route of one's own: `usage` is `self/usage` for users. */
export function logAddress(path, query) {
  const own = isAdmin() ? path : `self${path ? `/${path}` : ""}`;
  return withQuery(new URL(own, settings.api), query);
}

function withQuery(url, query = {}) {
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

async function ask(url, options) {
  const response = await send(url, options);
  const answer = await envelope(response);
  return answer.data;
}

async function send(url, { method = "GET", credential = token(), signal } = {}) {
  if (credential !== null && !CREDENTIAL.test(credential)) throw new Failure(400, t("error.credential"));
  const headers = credential === null ? {} : { Authorization: `Bearer ${credential}` };
  let response;
  try {
    response = await fetch(url, { method, headers, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, t("error.unreachable"));
  }
  if (response.status === 401 && session.user !== null) whenExpired();
  if (!response.ok) await envelope(response);
  return response;
}

/** Read the envelope of an answer; throws Failure unless it is a success. */
async function envelope(response) {
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(response.status, t("error.unreadable", { status: response.status }));
  }
  if (!answer.success) throw new Failure(response.status, inOurWords(answer.message));
  return answer;
}

function inOurWords(message) {
  return Object.hasOwn(PRESCRIBED, message) ? t(PRESCRIBED[message]) : t("error.said", { message });
}
