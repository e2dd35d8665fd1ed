"""The log rows of an invented gateway: calls in sessions, what goes wrong, and every oddity once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from tests.gateways.columns import Table
from tests.gateways.oddities import oddities
from tests.gateways.people import Caller, People, Row, zero_row

TOPUP, CONSUME, MANAGE, SYSTEM = 1, 2, 3, 4
#: Of one-api and of new-api alone, in this order.
TEST, ERROR = 5, 5
REFUND, LOGIN = 6, 7
DAY = 86_400
DAYS = 30
SESSIONS = 30
#: Sizes are drawn from this many, which were drawn before: a power of two.
SIZES = 4096
CALLS_OF_A_SESSION = 25


@dataclass
class Session:
    """What one caller does for a while: one token, one model."""

    caller: Caller
    token: tuple[int, str]
    model: str
    channels: list[int]


class LogRows:
    """Log rows with ids from `first_id`, in the order of their ids; every iteration yields the same ones."""

    def __init__(
        self, table: Table, people: People, *, rows: int, seed: int, end: int, first_id: int
    ) -> None:
        self._table = table
        self._people = people
        self._rows = rows
        self._seed = f"logs {seed} {first_id}"
        self._end = end
        self._first_id = first_id
        self._zeros = zero_row(table)
        self._other_types = _other_types(table)
        self._prompts = _sizes(6.5, 1.2)
        self._completions = _sizes(5.5, 1.0)
        self._times = _sizes(8.5, 0.8)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(people.callers) + 1)))

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Row]:
        random = Random(self._seed)
        odd = oddities(self._table)
        spacing = max(1, self._rows // (len(odd) + 1))
        sessions = [self._session(random) for _ in range(SESSIONS)]
        row_id, span, start = self._first_id - 1, DAYS * DAY, self._end - DAYS * DAY
        for number in range(self._rows):
            # A hundredth of the ids was never used, as after a rollback.
            row_id += 1 if random.random() < 0.99 else random.randint(2, 6)
            # The clock of a row is read before its id is given, by several servers.
            created_at = start + span * number // self._rows - (random.getrandbits(6) % 13 < 3)
            row = self._row(random, sessions)
            row["id"] = row_id
            row["created_at"] = created_at
            if odd and number % spacing == spacing - 1:
                row |= odd.pop(0)(row)
            yield row

    def _session(self, random: Random) -> Session:
        caller = random.choices(self._people.callers, cum_weights=self._weights)[0]
        return Session(caller, random.choice(caller.tokens), *random.choice(caller.models))

    def _row(self, random: Random, sessions: list[Session]) -> Row:
        place = int(random.random() * SESSIONS)
        if random.random() < 1 / CALLS_OF_A_SESSION:
            sessions[place] = self._session(random)
        session, kind = sessions[place], random.random()
        if kind < 0.955:
            return self._call(random, session)
        if kind < 0.99 and "other" in self._table.names:
            return self._error(random, session)
        return self._event(random, session)

    def _call(self, random: Random, session: Session) -> Row:
        draw = random.getrandbits(36)
        prompt = self._prompts[draw % SIZES]
        completion = self._completions[(draw >> 12) % SIZES]
        elapsed = self._times[draw >> 24]
        row = self._request(random, session)
        row |= {
            "type": CONSUME,
            "quota": (prompt + completion * 4) // 2,
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "is_stream": random.random() < 0.7,
        }
        if "elapsed_time" in row:
            row["elapsed_time"] = elapsed
            row["content"] = "倍率：1.25 × 1.00 × 4.00"
        else:
            row["use_time"] = elapsed // 1000
            row["content"] = "模型倍率 1.25，补全倍率 4.00，分组倍率 1.00" if prompt % 3 else ""
            row["other"] = _call_details(row, cached=prompt // 2 if prompt % 4 == 0 else 0, elapsed=elapsed)
        return row

    def _error(self, random: Random, session: Session) -> Row:
        row = self._request(random, session)
        status, mark = random.choice([400, 401, 429, 500, 503]), random.getrandbits(64)
        row |= {
            "type": ERROR,
            "content": f"status_code={status}, 上游负载已饱和，请稍后再试 (request id: {mark:016x})",
            "use_time": random.getrandbits(3),
            "other": (
                f'{{"admin_info":{{"use_channel":["{row["channel_id"]}"]}},"channel_id":{row["channel_id"]},'
                f'"channel_name":"渠道","channel_type":1,"error_code":"bad_response_status_code",'
                f'"error_type":"new_api_error","status_code":{status}}}'
            ),
        }
        return row

    def _event(self, random: Random, session: Session) -> Row:
        """Return a row that is no call of a model: its texts and numbers are empty but for these."""
        kind = random.choice(self._other_types)
        if kind == TEST:
            return self._test(random, session)
        texts = {
            0: "",
            TOPUP: "通过兑换码充值 ＄10.000000 额度，兑换码ID 12",
            MANAGE: "管理员将用户额度从 ＄2.000000 额度修改为 ＄20.000000 额度",
            SYSTEM: "新用户注册赠送 ＄0.400000 额度",
            REFUND: "任务失败，退回预扣费 ＄0.100000 额度",
            LOGIN: "用户登录",
        }
        row = self._zeros | {
            "user_id": session.caller.user_id,
            "username": session.caller.username,
            "type": kind,
            "content": texts[kind],
        }
        if kind in (TOPUP, REFUND):
            row["quota"] = random.choice([0, 50_000, 5_000_000])
        if kind == LOGIN:
            row |= {"ip": "203.0.113.9", "other": '{"op":{"action":"login","params":{"method":"password"}}}'}
        return row

    def _test(self, random: Random, session: Session) -> Row:
        """Return one-api's row for the test of a channel: no user's name, no token, no quota."""
        return self._zeros | {
            "user_id": 1,
            "type": TEST,
            "content": f"渠道 {session.channels[0]} 测试成功，响应：ok",
            "model_name": session.model,
            "channel_id": session.channels[0],
            "elapsed_time": random.randint(300, 9000),
        }

    def _request(self, random: Random, session: Session) -> Row:
        """Return what every row of a request has."""
        usual = random.random() < 0.85
        token_id, token_name = session.token
        row = self._zeros | {
            "user_id": session.caller.user_id,
            "username": session.caller.username,
            "token_name": token_name,
            "model_name": session.model,
            "channel_id": session.channels[0] if usual else random.choice(session.channels),
        }
        if "token_id" in row:
            # Rows from before the column have 0.
            row["token_id"] = token_id if random.random() < 0.97 else 0
            row["group"] = session.caller.group
        if "request_id" in row:
            row["request_id"] = f"20250901083000{random.getrandbits(64):016x}"
        if "ip" in row:
            address = random.getrandbits(8)
            row["ip"] = f"198.51.100.{address}" if address % 2 else ""
            row["upstream_request_id"] = f"req_{random.getrandbits(64):016x}" if address % 4 else ""
        return row


def _sizes(mean: float, deviation: float) -> list[int]:
    random = Random(f"sizes {mean} {deviation}")
    return [int(random.lognormvariate(mean, deviation)) for _ in range(SIZES)]


def _other_types(table: Table) -> tuple[int, ...]:
    if "other" not in table.names:
        return (0, TOPUP, MANAGE, SYSTEM, TEST)
    return (0, TOPUP, MANAGE, SYSTEM) + ((REFUND, LOGIN) if "request_id" in table.names else ())


def _call_details(row: Row, *, cached: int, elapsed: int) -> str:
    """Return new-api's `other` of a call; a call that is no stream has no first token, which reads -1000."""
    first = elapsed // 5 if row["is_stream"] else -1000
    late = ""
    if "request_id" in row:
        late = ',"request_path":"/v1/chat/completions","request_conversion":["OpenAI Compatible"]'
    return (
        f'{{"admin_info":{{"use_channel":["{row["channel_id"]}"]}},"cache_ratio":0.5,"cache_tokens":{cached},'
        f'"completion_ratio":4,"frt":{first},"group_ratio":1,"model_price":-1,"model_ratio":1.25,'
        f'"user_group_ratio":-1{late}}}'
    )
