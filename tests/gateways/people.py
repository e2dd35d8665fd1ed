"""Who uses an invented gateway: users, their tokens and the channels that serve them, good and bad."""

from __future__ import annotations

import base64
import datetime
import string
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.gateways.columns import Column, Table

Row = dict[str, Any]

#: When a soft deletion happened. The whole second survives every engine.
DELETED = datetime.datetime(2025, 9, 1, 8, 30, tzinfo=datetime.UTC)
MODELS = tuple(
    [f"gpt-4o-{number}" for number in range(10)]
    + [f"claude-3-{number}" for number in range(8)]
    + ["deepseek-chat", "deepseek-reasoner", "qwen-max", "glm-4-plus", "豆包-pro", "gemini-2.0-flash", "o3"]
)
GROUPS = ("default", "vip", "svip", "企业")
TOKEN_NAMES = ("default", "默认令牌", "cursor", "生产环境", "CLI", "key 🔑", "a'b\"c")
CHANNELS = 40
ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Caller:
    """Somebody who makes calls, still known to the users table or not."""

    user_id: int
    username: str
    group: str
    #: Id and name of each token.
    tokens: list[tuple[int, str]] = field(default_factory=list)
    #: A model and the channels that serve it, the usual one first.
    models: list[tuple[str, list[int]]] = field(default_factory=list)


@dataclass(frozen=True)
class People:
    """The rows of the small tables as stored, and the callers, some of whom have no row any more."""

    users: list[Row]
    tokens: list[Row]
    channels: list[Row]
    callers: list[Caller]


def invent(tables: dict[str, Table], *, users: int, seed: int) -> People:
    """Invent people for the tables of a flavour; the same for the same seed."""
    random = Random(f"people {users} {seed}")
    channels = _channels(tables["channels"], random)
    served = [(model, random.sample(range(1, CHANNELS + 1), random.randint(1, 4))) for model in MODELS]
    people = People([], [], channels, [])
    for user_id in range(1, users + 1):
        caller = Caller(user_id, _username(user_id), random.choice(GROUPS))
        caller.models.extend(
            random.choices(served, [1 / rank for rank in range(1, 26)], k=random.randint(1, 4))
        )
        people.callers.append(caller)
        user = _user(tables["users"], caller, random)
        if user is not None:
            people.users.append(user)
        _give_tokens(people, tables["tokens"], caller, random)
    for table, rows in (("users", people.users), ("tokens", people.tokens), ("channels", channels)):
        rows.append(_empty_row(tables[table], rows[-1]["id"] + 3))
    return people


def zero_row(table: Table) -> Row:
    """Return what gorm stores where nobody gave a value: the default, else the zero of the type."""
    return {column.name: _zero(column) for column in table.columns}


def _zero(column: Column) -> Any:
    if column.default == "false" or column.kind == "truth":
        return False
    if column.default is not None:
        return column.default.strip("'") if column.default[0] == "'" else int(column.default)
    zeros = {"number": 0.0, "json": "{}", "time": None, "text": "", "plain text": None, "short text": ""}
    if column.kind in zeros:
        return zeros[column.kind]
    return "" if column.kind.startswith("varchar") else None if column.kind.startswith("char") else 0


def _empty_row(table: Table, row_id: int) -> Row:
    """Return a row with NULL wherever the table takes it."""
    kept = {column.name: column for column in table.columns if not column.nullable}
    return {name: _zero(kept[name]) if name in kept else None for name in table.names} | {"id": row_id}


def _username(user_id: int) -> str:
    if user_id == 1:
        return "root"
    special = {8: "o'brien", 9: "王小明", 10: "emoji😀user"}
    return special.get(user_id, f"用户{user_id}" if user_id % 5 == 0 else f"user{user_id:04d}")


def _user(table: Table, caller: Caller, random: Random) -> Row | None:
    """Return the user's row: None for one who was deleted for good."""
    number = caller.user_id
    row = zero_row(table) | {
        "id": number,
        "username": caller.username,
        "password": "$2a$10$" + "".join(random.choices(ALPHABET, k=53)),
        "display_name": caller.username.title(),
        "role": {1: 100, 2: 10, 3: 10, 4: 0}.get(number, 1),
        "status": 2 if number % 17 == 5 else 1,
        "group": caller.group,
        "aff_code": f"{number:04x}",
        "quota": random.randint(0, 10**9),
        "access_token": _access_token(number, table, random),
    }
    if number % 13 == 6:
        _delete(row, random)
    return None if number % 13 == 12 else row


def _access_token(number: int, table: Table, random: Random) -> str | None:
    """Return a token as the gateway makes it: one-api 32 hexadecimal digits, new-api base64 on demand."""
    if number == 7:
        return ""
    if "deleted_at" not in table.names:
        return random.randbytes(16).hex()
    token = base64.b64encode(random.randbytes(random.choice([21, 22, 23, 24]))).decode()
    return token if number % 3 == 1 else None


def _delete(row: Row, random: Random) -> None:
    """Delete as the gateway does: new-api keeps the row and its time, one-api the row under another name."""
    if "deleted_at" in row:
        row["deleted_at"] = DELETED
    else:
        row |= {"status": 3, "username": f"deleted_{random.randbytes(16).hex()}"}


def _give_tokens(people: People, table: Table, caller: Caller, random: Random) -> None:
    names = random.sample(TOKEN_NAMES, random.randint(1, 3))
    if caller.user_id % 10 == 1:
        names = [names[0], *names]
    if caller.user_id % 10 == 2:
        names.append("")
    for name in names:
        token_id = caller.user_id * 5 + len(caller.tokens)
        caller.tokens.append((token_id, name))
        if token_id % 9 != 5:
            people.tokens.append(_token(table, caller.user_id, (token_id, name), random))


def _token(table: Table, user_id: int, token: tuple[int, str], random: Random) -> Row:
    token_id, name = token
    old = "subnet" in table.names and token_id % 7 == 3
    row = zero_row(table) | {
        "id": token_id,
        "user_id": user_id,
        # one-api's first releases made 32 hexadecimal digits.
        "key": random.randbytes(16).hex() if old else "".join(random.choices(ALPHABET, k=48)),
        "name": name,
        "status": {1: 2, 2: 3, 3: 4}.get(token_id % 23, 1),
        "created_time": 1_740_000_000 + token_id,
        "accessed_time": 1_741_000_000 + token_id,
        "unlimited_quota": token_id % 2 == 0,
        "remain_quota": random.randint(-1000, 10**9),
    }
    if "deleted_at" in row and token_id % 9 == 4:
        row["deleted_at"] = DELETED
    return row


def _channels(table: Table, random: Random) -> list[Row]:
    """Return the channels that still exist; each eighth is gone."""
    names = ("openai", "azure 华东", "anthropic", "", "备用渠道", "openrouter")
    return [
        zero_row(table)
        | {
            "id": number,
            "name": names[number % len(names)] + ("" if number % 4 == 0 else f" {number}"),
            "key": "sk-" + "".join(random.choices(ALPHABET, k=40)),
            "type": number % 50,
            "status": 1 + number % 3,
            "models": ",".join(MODELS[:5]),
            "balance": number / 4,
        }
        for number in range(1, CHANNELS + 1)
        if number % 8 != 3
    ]
