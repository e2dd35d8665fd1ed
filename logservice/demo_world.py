"""The made-up people, models, channels and texts that demo rows are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from json import dumps
from random import Random
from typing import Any

from .store.ids import DAY
from .store.log_types import LogType

QUOTA_PER_USD = 500_000
TOKENS_PER_USER = 3
MODELS_PER_USER = 4
CHANNELS = 40
CHANNELS_PER_MODEL = 4
MAIN_CHANNEL_SHARE = 0.85
ERROR_SHARE = 0.035
OTHER_TYPES_SHARE = 0.01

# Everything random about a row comes out of one 64-bit number, twelve bits for each table it is looked up in,
# and what goes together is kept as a piece of the event: a distribution and an assignment for each field of
# each row would take several times as long.
SLOTS = 4096

CONSUME, ERROR = int(LogType.CONSUME), int(LogType.ERROR)

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody whom the demo gives a login, with a token that a demo key can be registered for."""

    user_id: int
    username: str
    token_id: int
    token_name: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its prices as gateways write them: at ratio 1 a token costs one quota."""

    name: str
    ratio: float
    completion_ratio: float
    cache_ratio: float


@dataclass(frozen=True, slots=True)
class Route:
    """A channel that serves a model to a group, with the texts of its rows rendered up to their numbers."""

    fields: Fields
    before_cache: str
    before_frt: str
    after_frt: str
    failures: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as one group gets it: quota per token of each kind, and a route for each slot."""

    fields: Fields
    prompt_price: float
    cached_price: float
    completion_price: float
    contents: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A user with one of their tokens and one of their models: what stays the same through a session."""

    person: Fields
    fields: Fields
    time_of_day: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class Prompt:
    """The size of a question."""

    fields: Fields
    fresh: int
    cached: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The size of an answer and how long it took; `frt` is the first token's time as new-api writes it."""

    fields: Fields
    tokens: int
    frt: int


@dataclass(frozen=True, slots=True)
class World:
    """What all rows are drawn from: who calls, how often, and a table for each thing that varies by call."""

    callers: tuple[Caller, ...]
    cumulative_weights: tuple[float, ...]
    prompts: tuple[Prompt, ...]
    answers: tuple[Answer, ...]
    types: tuple[int, ...]


# Most popular first: the place in this list is the rank in Zipf's law.
MODELS = (
    Model("gpt-4o-mini", 0.075, 4, 0.5),
    Model("deepseek-chat", 0.135, 4, 0.25),
    Model("gpt-4o", 1.25, 4, 0.5),
    Model("claude-sonnet-4-20250514", 1.5, 5, 0.1),
    Model("gemini-2.5-flash", 0.15, 8.33, 0.25),
    Model("gpt-4.1-mini", 0.2, 4, 0.25),
    Model("deepseek-reasoner", 0.275, 4, 0.25),
    Model("qwen-plus", 0.2, 3, 0.4),
    Model("gpt-4.1", 1, 4, 0.25),
    Model("gemini-2.5-pro", 0.625, 8, 0.25),
    Model("claude-3-7-sonnet-20250219", 1.5, 5, 0.1),
    Model("gpt-5-mini", 0.125, 8, 0.1),
    Model("qwen-max", 0.8, 4, 0.4),
    Model("gpt-5", 0.625, 8, 0.1),
    Model("claude-3-5-haiku-20241022", 0.4, 5, 0.1),
    Model("glm-4.5", 0.3, 3.67, 0.2),
    Model("qwen-turbo", 0.025, 4, 0.4),
    Model("kimi-k2-0711-preview", 0.3, 4.17, 0.25),
    Model("o4-mini", 0.55, 4, 0.25),
    Model("gemini-2.0-flash", 0.05, 4, 0.25),
    Model("gpt-4.1-nano", 0.05, 4, 0.25),
    Model("o3", 1, 4, 0.25),
    Model("claude-opus-4-20250514", 7.5, 5, 0.1),
    Model("grok-4", 1.5, 5, 0.25),
    Model("mistral-large-latest", 1, 3, 0.5),
)
GROUPS: dict[str, float] = {"default": 1, "vip": 0.8, "svip": 0.65}
GROUP_WEIGHTS = (80, 15, 5)
TOKEN_NAMES = ("default", "laptop", "batch")
NAMED_USERS = {1: "alice", 2: "bob"}
PLACES = ("eu-west", "us-east", "ap-south", "reserve")
ADDRESSES = ("192.0.2.{0}", "198.51.100.{0}", "203.0.113.{0}", "2001:db8:{1:x}::{0:x}")
CONTENTS = (
    "模型倍率 {0.ratio:.2f}，分组倍率 {1:.2f}",
    "按量计费，模型倍率 {0.ratio:.2f}，补全倍率 {0.completion_ratio:.2f}，分组倍率 {1:.2f}",
    "模型倍率 {0.ratio:.2f}，缓存倍率 {0.cache_ratio:.2f}，分组倍率 {1:.2f}",
    "按 Token 计费，补全倍率 {0.completion_ratio:.2f}，分组倍率 {1:.2f}",
)
ERRORS = (
    (429, "rate_limit_exceeded", "upstream answered 429: too many requests for {}, slow down"),
    (500, "bad_response_status", "upstream answered 500 while {} was generating"),
    (503, "upstream_overloaded", "no capacity left for {}, try again later"),
    (400, "context_too_long", "the prompt is longer than the context window of {}"),
)
#: What rows say that are about an account and no call.
NOTES: dict[int, Fields] = {
    int(LogType.TOPUP): {"quota": 10 * QUOTA_PER_USD, "content": "在线充值到账 10.00 美元"},
    int(LogType.LOGIN): {"content": "通过密码登录成功"},
    int(LogType.MANAGE): {"content": "管理员修改了该用户的分组"},
    int(LogType.REFUND): {"quota": QUOTA_PER_USD // 10, "content": "任务未完成，退回预扣额度 0.10 美元"},
    int(LogType.SYSTEM): {"content": "系统发放了活动奖励"},
}

_NUMBERS = (
    "token_id channel_id quota prompt_tokens completion_tokens cached_tokens use_time_ms first_token_ms"
)
_TEXTS = "token_name model_name channel_name group request_id content other"
# Every event has every field, so rows that are no answered calls start from this.
BLANK: Fields = {
    **dict.fromkeys(_NUMBERS.split(), 0),
    **dict.fromkeys(_TEXTS.split(), ""),
    "is_stream": False,
}


def _token_id(user_id: int, place: int) -> int:
    """Return the id of a user's token, leaving room for three, so that ids are predictable."""
    return (user_id - 1) * TOKENS_PER_USER + place + 1


#: The heaviest user and the second.
DEMO_USERS = tuple(
    DemoUser(user, name, _token_id(user, 0), TOKEN_NAMES[0]) for user, name in NAMED_USERS.items()
)


def build_world(dice: Random, users: int) -> World:
    """Return a world of so many users; the same random numbers make the same world."""
    channels = [dice.sample(range(1, CHANNELS + 1), dice.randint(1, CHANNELS_PER_MODEL)) for _ in MODELS]
    offers = {
        group: [_offer(*served, group) for served in zip(MODELS, channels, strict=True)] for group in GROUPS
    }
    weighted: list[tuple[float, Caller]] = []
    for user_id in range(1, users + 1):
        [group] = dice.choices(list(GROUPS), GROUP_WEIGHTS)
        weighted += _callers(dice, user_id, offers[group])
    return World(
        callers=tuple(caller for _, caller in weighted),
        cumulative_weights=tuple(accumulate(weight for weight, _ in weighted)),
        prompts=tuple(_prompt(dice) for _ in range(SLOTS)),
        answers=tuple(_answer(dice) for _ in range(SLOTS)),
        types=_types(),
    )


def _callers(dice: Random, user_id: int, offers: Sequence[Offer]) -> list[tuple[float, Caller]]:
    """Return a user's tokens and models with weights; users, tokens and models all follow Zipf's law."""
    name = NAMED_USERS.get(user_id, f"user{user_id:04d}")
    time_of_day = int(dice.gauss(14 * 3600, 4 * 3600)) % DAY
    # Popular models tend to come first in this order: a weighted choice without repetition.
    ranked = sorted(enumerate(offers, start=1), key=lambda pair: dice.random() ** pair[0], reverse=True)
    models = [offer for _, offer in ranked[: dice.randint(1, MODELS_PER_USER)]]
    weighted = []
    for place, token_share in enumerate(_zipf_shares(dice.randint(1, TOKENS_PER_USER))):
        ip = dice.choice(ADDRESSES).format(dice.randint(1, 254), user_id % 65536)
        person: Fields = {"user_id": user_id, "username": name, "ip": ip}
        token: Fields = {"token_id": _token_id(user_id, place), "token_name": TOKEN_NAMES[place]}
        for model_share, offer in zip(_zipf_shares(len(models)), models, strict=True):
            caller = Caller(person, person | token | offer.fields, time_of_day, offer)
            weighted.append((token_share * model_share / user_id, caller))
    return weighted


def _zipf_shares(count: int) -> list[float]:
    total = sum(1 / rank for rank in range(1, count + 1))
    return [1 / rank / total for rank in range(1, count + 1)]


def _offer(model: Model, channels: Sequence[int], group: str) -> Offer:
    price = model.ratio * GROUPS[group]
    others = [_route(model, group, [channels[0], channel]) for channel in channels[1:]]
    routes = [_route(model, group, channels[:1])] * round(SLOTS * (MAIN_CHANNEL_SHARE if others else 1))
    routes += [others[slot % len(others)] for slot in range(SLOTS - len(routes))]
    return Offer(
        fields={"model_name": model.name, "group": group},
        prompt_price=price,
        cached_price=price * model.cache_ratio,
        completion_price=price * model.completion_ratio,
        contents=tuple(template.format(model, GROUPS[group]) for template in CONTENTS),
        routes=tuple(routes),
    )


def _route(model: Model, group: str, tried: Sequence[int]) -> Route:
    """Return the route through the last channel tried: the main one, or another after that one failed."""
    channel = tried[-1]
    used = {"use_channel": [str(number) for number in tried]}
    ratios = {
        "model_ratio": model.ratio,
        "group_ratio": GROUPS[group],
        "completion_ratio": model.completion_ratio,
    }
    price = {"model_price": -1, "request_path": "/v1/chat/completions"}
    more = {"error_type": "upstream_error", "admin_info": used}
    failures = [
        {
            "content": text.format(model.name),
            "other": _json(ratios | price | {"error_code": code, "status_code": status} | more),
        }
        for status, code, text in ERRORS
    ]
    return Route(
        fields={"channel_id": channel, "channel_name": f"{PLACES[channel % len(PLACES)]}-{channel:02d}"},
        before_cache=f'{_json(ratios)[:-1]},"cache_ratio":{model.cache_ratio},"cache_tokens":',
        before_frt=f',{_json(price)[1:-1]},"user_group_ratio":-1,"frt":',
        after_frt=f',"admin_info":{_json(used)}}}',
        failures=tuple(failures),
    )


def _json(value: Fields) -> str:
    return dumps(value, separators=(",", ":"))


def _prompt(dice: Random) -> Prompt:
    tokens = min(int(dice.lognormvariate(6.8, 1.2)) + 1, 120_000)
    # Providers cache long beginnings only, and in blocks of 128 tokens.
    is_cached = tokens >= 1024 and dice.random() < 0.5
    cached = int(tokens * dice.uniform(0.3, 0.95)) // 128 * 128 if is_cached else 0
    return Prompt({"prompt_tokens": tokens, "cached_tokens": cached}, tokens - cached, cached)


def _answer(dice: Random) -> Answer:
    tokens = min(int(dice.lognormvariate(5.5, 1.0)) + 1, 16_000)
    wait = int(dice.lognormvariate(6.7, 0.5)) + 1
    is_stream = dice.random() < 0.7
    fields = {
        "completion_tokens": tokens,
        "use_time_ms": wait + int(tokens * dice.uniform(8, 25)),
        "first_token_ms": wait if is_stream else 0,
        "is_stream": is_stream,
    }
    # Without streaming, new-api takes the first token to have come a second before the start.
    return Answer(fields, tokens, wait if is_stream else -1000)


def _types() -> tuple[int, ...]:
    errors, others = round(SLOTS * ERROR_SHARE), round(SLOTS * OTHER_TYPES_SHARE)
    notes = list(NOTES)
    rest = [notes[slot % len(notes)] for slot in range(others)]
    return (*[CONSUME] * (SLOTS - errors - others), *[ERROR] * errors, *rest)
