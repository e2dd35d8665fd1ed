// How a call was billed, from the ratios that gateways write into `other`. The arithmetic is that of new-api: a token
// costs one quota at ratio 1, and a model with a price of its own costs that for each call.

import { settings } from "./session.js";

/** Return `other` as an object; null if there is none or it cannot be read. */
export function otherOf(row) {
  if (!row.other) return null;
  try {
    const found = JSON.parse(row.other);
    return typeof found === "object" && found !== null && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

/** Return {steps, total} of a call that was billed by ratios or by a price; null if `other` does not say how. */
export function billing(row) {
  const other = otherOf(row);
  if (other === null || row.type !== 2) return null;
  const group = groupRatio(other);
  if (number(other.model_price) > 0) return byPrice(number(other.model_price), group);
  return number(other.model_ratio) === null ? null : byTokens(row, other, group);
}

function byPrice(modelPrice, group) {
  const steps = [{ kind: "price", price: modelPrice, quota: modelPrice * settings.quotaPerUnit }];
  return { steps, group, total: Math.round(modelPrice * settings.quotaPerUnit * group) };
}

function byTokens(row, other, group) {
  const model = number(other.model_ratio);
  const cached = row.cached_tokens || number(other.cache_tokens) || 0;
  const written = number(other.cache_creation_tokens) ?? 0;
  // Anthropic counts what was cached beside the prompt, all others within it.
  const fresh = other.claude ? row.prompt_tokens : Math.max(0, row.prompt_tokens - cached - written);
  const steps = [
    tokenStep("prompt", fresh, model, 1),
    tokenStep("cached", cached, model, number(other.cache_ratio) ?? 1),
    tokenStep("written", written, model, number(other.cache_creation_ratio) ?? 1),
    tokenStep("completion", row.completion_tokens, model, number(other.completion_ratio) ?? 1),
  ].filter((step) => step.tokens > 0);
  const sum = steps.reduce((total, step) => total + step.quota, 0);
  return { steps, group, model, total: Math.round(sum * group) };
}

function tokenStep(kind, tokens, model, ratio) {
  return { kind, tokens, ratio, quota: tokens * model * ratio };
}

/** The ratio of a user's own agreement comes before that of the group; gateways write -1 where there is none. */
function groupRatio(other) {
  const own = number(other.user_group_ratio);
  return own !== null && own >= 0 ? own : (number(other.group_ratio) ?? 1);
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
