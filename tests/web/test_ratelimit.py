"""How often an address may call, counted over threads, processes and restarts."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from logservice.web import ratelimit
from logservice.web.ratelimit import Rate, RateLimiter

ROOT = Path(ratelimit.__file__).parents[2]
START = 1_700_000_000.3
ME = "203.0.113.7"


class Clock:
    """A clock that is set by hand, in epoch seconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits"


@pytest.fixture
def limiter(path: Path, clock: Clock) -> RateLimiter:
    return RateLimiter(path, Rate(3, 60), clock=clock)


def admitted(limiter: RateLimiter, address: str = ME, tries: int = 20) -> int:
    return sum(limiter.hit(address) == 0 for _ in range(tries))


# Rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("120/minute", Rate(120, 60)),
        ("1/second", Rate(1, 1)),
        (" 5 / Hour ", Rate(5, 3600)),
        ("1000000/day", Rate(1_000_000, 86400)),
        ("0", None),
        ("off", None),
        ("OFF", None),
        ("", None),
        ("  ", None),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    ["120", "0/minute", "-1/minute", "1.5/minute", "120/min", "120/minutes", "/minute", "1/", "1/2",
     "1e3/day", "٣/minute", "no", "1000001/second", "9" * 5000 + "/day", "120/minute;", "1/minute\n1/day"],
)  # fmt: skip
def test_any_other_rate_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is neither off nor") as raised:
        Rate.parse(text)
    assert repr(text) in str(raised.value)


def test_a_rate_of_nothing_cannot_be_made() -> None:
    for count, seconds in ((0, 60), (1, 0), (-1, 60), (2_000_001, 2)):
        with pytest.raises(ValueError, match="a rate of"):
            Rate(count, seconds)


# Counting


@pytest.mark.parametrize(
    "text",
    ["1/day", "3/minute", "7/second", "90/minute", "120/minute", "30/second", "1000/second", "9999/hour"],
)
@pytest.mark.parametrize("start", [START, 1000.1])
def test_a_fresh_address_gets_exactly_its_count_at_once_and_again_a_period_later(
    text: str, start: float
) -> None:
    rate, clock = Rate.parse(text), Clock()
    assert rate is not None
    clock.now = start
    limiter = RateLimiter(None, rate, clock=clock)
    assert admitted(limiter, tries=rate.count + 50) == rate.count
    clock.now += rate.seconds
    assert admitted(limiter, tries=rate.count + 50) == rate.count


def test_what_was_used_comes_back_evenly(limiter: RateLimiter, clock: Clock) -> None:
    assert admitted(limiter) == 3
    for _ in range(100):
        clock.now += 20
        assert admitted(limiter) == 1
    clock.now += 41
    assert admitted(limiter) == 2


def test_hits_in_vain_cost_nothing(limiter: RateLimiter, clock: Clock) -> None:
    admitted(limiter, tries=500)
    clock.now += 60
    assert admitted(limiter) == 3


@pytest.mark.parametrize("text", ["1/day", "3/minute", "7/minute", "11/hour", "120/minute", "1000000/day"])
@pytest.mark.parametrize("cost", [1, 2])
@pytest.mark.parametrize("passed", [0.0, 0.03])
def test_the_wait_is_exact_to_the_second(text: str, cost: int, passed: float) -> None:
    rate, clock = Rate.parse(text), Clock()
    assert rate is not None
    limiter = RateLimiter(None, rate, clock=clock)
    limiter.hit(ME, rate.count)
    clock.now += passed
    wait = limiter.hit(ME, cost)
    assert 1 <= wait <= rate.seconds
    clock.now += wait - 1
    assert limiter.hit(ME, cost) == 1
    clock.now += 1
    assert limiter.hit(ME, cost) == 0


def test_a_wait_below_a_second_is_still_a_second() -> None:
    limiter = RateLimiter(None, Rate(7, 1), clock=Clock())
    assert [limiter.hit(ME) for _ in range(8)] == [0] * 7 + [1]


def test_a_cost_counts_as_so_many_hits(limiter: RateLimiter) -> None:
    assert limiter.hit(ME, 2) == 0
    assert limiter.hit(ME, 2) == 20
    assert limiter.hit(ME) == 0
    assert limiter.hit(ME) == 20


def test_a_cost_above_a_burst_is_a_burst(limiter: RateLimiter, clock: Clock) -> None:
    assert limiter.hit(ME, 99) == 0
    assert limiter.hit(ME, 99) == 60
    clock.now += 60
    assert limiter.hit(ME, 99) == 0


def test_a_charge_asks_nobody_and_delays_what_follows(limiter: RateLimiter) -> None:
    limiter.charge(ME, 2)
    assert admitted(limiter) == 1
    limiter.charge(ME, 1)
    assert limiter.hit(ME) == 40


def test_a_charge_delays_by_one_period_at_most(limiter: RateLimiter, clock: Clock) -> None:
    limiter.charge("198.51.100.1", 10_000)
    assert limiter.hit("198.51.100.1") == 60
    limiter.charge(ME, 10_000)
    clock.now += 59
    assert limiter.hit(ME) == 1
    clock.now += 1
    assert limiter.hit(ME) == 0


def test_who_is_charged_five_times_gets_a_fifth_also_in_the_long_run(clock: Clock) -> None:
    limiter = RateLimiter(None, Rate(120, 60), clock=clock)
    found = 0
    for _ in range(600):
        clock.now += 1
        for _ in range(10):
            if limiter.hit(ME) == 0:
                found += 1
                limiter.charge(ME, 4)
    assert 600 * 2 // 5 <= found <= 600 * 2 // 5 + 120 // 5 + 1


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:0DB8:0:0:1::1%eth0", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::1", "1.0.0.0", False),
        ("", "unix:", False),
        ("\udc80", "\udc81", False),
        ("", "", True),
    ],
)
def test_addresses_count_apart_except_within_one_ipv6_network(
    limiter: RateLimiter, one: str, other: str, together: bool
) -> None:
    assert admitted(limiter, one) == 3
    assert admitted(limiter, other) == (0 if together else 3)


@pytest.mark.parametrize("back", [1, 30, 3600, 86400 * 400])
def test_a_clock_that_steps_back_locks_nobody_out_beyond_a_period(
    limiter: RateLimiter, clock: Clock, back: int
) -> None:
    limiter.charge(ME, 99)
    clock.now -= back
    wait = limiter.hit(ME)
    assert 1 <= wait <= 60
    clock.now += wait
    assert limiter.hit(ME) == 0


# The table


def test_more_addresses_than_slots_never_raise(path: Path, clock: Clock) -> None:
    for slots in (1, 5, 64):
        limiter = RateLimiter(path, Rate(3, 60), slots=slots, clock=clock)
        for number in range(5000):
            clock.now += 0.001
            assert limiter.hit(f"10.0.{number >> 8}.{number & 255}") == 0


def test_the_one_that_expires_first_makes_room(clock: Clock) -> None:
    limiter = RateLimiter(None, Rate(3, 60), slots=8, clock=clock)
    limiter.charge("light", 1)
    for number in range(7):
        limiter.charge(f"heavy{number}", 3)
    limiter.charge("new", 2)
    assert [limiter.hit(f"heavy{number}") for number in range(7)] == [20] * 7
    assert admitted(limiter, "new") == 1


def test_an_expired_one_makes_room_before_one_that_counts(clock: Clock) -> None:
    limiter = RateLimiter(None, Rate(3, 60), slots=8, clock=clock)
    limiter.charge("old", 3)
    clock.now += 60
    for number in range(7):
        limiter.charge(f"recent{number}", 1)
    limiter.charge("new", 3)
    assert [admitted(limiter, f"recent{number}", 3) for number in range(7)] == [2] * 7


def test_an_address_keeps_its_place_when_one_before_it_expires(clock: Clock) -> None:
    limiter = RateLimiter(None, Rate(3, 60), slots=8, clock=clock)
    names = [f"name{number}" for number in range(8)]
    for name in names[:4]:
        limiter.charge(name, 1)
    for name in names[4:]:
        limiter.charge(name, 5)
    clock.now += 30
    assert [admitted(limiter, name, 1) for name in names[4:]] == [0] * 4


def test_the_file_is_private_and_tells_no_addresses(path: Path, limiter: RateLimiter, clock: Clock) -> None:
    path.touch(mode=0o644)
    limiter.hit(ME)
    other = path.with_name("other")
    RateLimiter(other, Rate(3, 60), clock=clock).hit(ME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 32 + 65536 * 16
    # The same address under two keys shares nothing but the layout of the header.
    used = [
        {file[at : at + 8] for at in range(32, len(file), 16)}
        for file in (path.read_bytes(), other.read_bytes())
    ]
    assert [len(keys) for keys in used] == [2, 2]
    assert used[0] & used[1] == {bytes(8)}


def test_counts_outlive_a_restart_and_are_shared(path: Path, limiter: RateLimiter, clock: Clock) -> None:
    second = RateLimiter(path, Rate(3, 60), clock=clock)
    assert [limiter.hit(ME), second.hit(ME), limiter.hit(ME), second.hit(ME), limiter.hit(ME)] == [
        0,
        0,
        0,
        20,
        20,
    ]
    assert RateLimiter(path, Rate(3, 60), clock=clock).hit(ME) == 20


FOREIGN: list[Callable[[bytes], bytes]] = [
    lambda old: b"",
    lambda old: old[:10],
    lambda old: old[:-1],
    lambda old: old + b"x",
    lambda old: b"lograte0" + old[8:],
    lambda old: bytes(len(old)),
    lambda old: b"garbage" * 1000,
]


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_foreign_file_is_made_anew(path: Path, clock: Clock, spoil: Callable[[bytes], bytes]) -> None:
    limiter = RateLimiter(path, Rate(3, 60), clock=clock)
    limiter.hit(ME)
    size = path.stat().st_size
    path.write_bytes(spoil(path.read_bytes()))
    # The one that has the file open notices as well, instead of dying of a bus error.
    second = RateLimiter(path, Rate(3, 60), clock=clock)
    assert [limiter.hit(ME), second.hit(ME), limiter.hit(ME), second.hit(ME)] == [0, 0, 0, 20]
    assert path.stat().st_size == size


def test_a_file_of_another_size_is_made_anew_by_whoever_comes(path: Path, clock: Clock) -> None:
    large = RateLimiter(path, Rate(3, 60), slots=65536, clock=clock)
    small = RateLimiter(path, Rate(3, 60), slots=8, clock=clock)
    assert [large.hit(ME), small.hit(ME), large.hit(ME)] == [0, 0, 0]


def test_a_deleted_file_comes_back(path: Path, limiter: RateLimiter, clock: Clock) -> None:
    limiter.hit(ME)
    path.unlink()
    assert admitted(limiter) == 3
    assert RateLimiter(path, Rate(3, 60), clock=clock).hit(ME) == 20


@pytest.mark.parametrize("arrival", [float("nan"), float("inf"), -float("inf"), 1e300, -1e300])
def test_nonsense_in_a_slot_is_survived(path: Path, clock: Clock, arrival: float) -> None:
    limiter = RateLimiter(path, Rate(3, 60), slots=8, clock=clock)
    limiter.hit(ME)
    content = bytearray(path.read_bytes())
    for slot in range(8):
        # Hashes of others in all slots but the one in use.
        held = struct.unpack_from("<Q", content, 32 + slot * 16)[0]
        struct.pack_into("<Qd", content, 32 + slot * 16, held or slot + 1, arrival)
    with path.open("r+b") as file:
        file.write(content)
    assert limiter.hit(ME) <= 60
    assert limiter.hit("198.51.100.1") <= 60
    clock.now += 60
    assert limiter.hit(ME) == 0


def test_a_missing_folder_is_made_for_its_owner_only(path: Path, clock: Clock) -> None:
    shared = path / "instance" / "ratelimit"
    assert sum(admitted(RateLimiter(shared, Rate(3, 60), clock=clock)) for _ in range(2)) == 3
    assert shared.parent.stat().st_mode & 0o777 == 0o700


# Without a file


@pytest.mark.parametrize("kind", ["none", "folder that is a file", "folder", "link", "pipe"])
def test_without_a_usable_file_it_counts_in_memory_and_warns_once(
    path: Path, clock: Clock, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    target = path.with_name("target")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        target.write_text("precious")
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path, mode=0o400)
    elif kind == "folder that is a file":
        path.write_text("no folder")
    usable = {"none": None, "folder that is a file": path / "x"}.get(kind, path)
    with caplog.at_level(logging.DEBUG, logger="logservice"):
        limiter = RateLimiter(usable, Rate(3, 60), clock=clock)
        assert admitted(limiter) == 3
        limiter.charge(ME, 1)
    assert [(record.name, record.levelname) for record in caplog.records] == [("logservice", "WARNING")]
    assert kind != "link" or target.read_text() == "precious"
    assert kind != "pipe" or stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_file_that_cannot_be_locked_is_done_without(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limiter.hit(ME)

    def refuse(descriptor: int, how: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("logservice.web.ratelimit.fcntl.flock", refuse)
    assert admitted(limiter) == 3
    assert len(caplog.records) == 1
    assert "no locks available" in caplog.text


def test_a_file_that_can_be_used_again_is_counted_in_after_a_while(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    limiter, other = (RateLimiter(path, Rate(3, 60), clock=clock) for _ in range(2))
    assert admitted(limiter) == 3
    path.rmdir()
    assert admitted(limiter) == 0
    assert not path.exists()
    monkeypatch.setattr(ratelimit, "AGAIN_SECONDS", 0)
    assert admitted(limiter) == 3
    assert admitted(other) == 0
    assert len(caplog.records) == 1


def test_nothing_is_opened_before_the_first_hit_nor_left_open(path: Path, clock: Clock) -> None:
    before = len(os.listdir("/dev/fd"))
    limiter = RateLimiter(path, Rate(3, 60), clock=clock)
    assert not path.exists()
    limiter.hit(ME)
    assert path.exists()
    del limiter
    assert len(os.listdir("/dev/fd")) == before


def test_a_table_without_slots_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        RateLimiter(path, Rate(3, 60), slots=0)


# Together


def test_one_thread_counts_at_a_time(path: Path) -> None:
    inside: list[int] = []

    def slow_clock() -> float:
        inside.append(1)
        time.sleep(0.001)
        assert len(inside) == 1, "two threads read and write the table at once"
        inside.pop()
        return START

    limiter = RateLimiter(path, Rate(50, 86400), clock=slow_clock)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: admitted(limiter), range(8))) == 50


def test_one_process_counts_at_a_time(path: Path) -> None:
    def clock() -> float:
        assert is_locked(path)
        return START

    limiter = RateLimiter(path, Rate(3, 60), clock=clock)
    assert admitted(limiter) == 3
    limiter.charge(ME, 1)
    assert not is_locked(path)


def test_one_process_makes_the_file(
    path: Path, limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def truncate(descriptor: int, length: int) -> None:
        assert is_locked(path)
        os.truncate(path, length)

    monkeypatch.setattr("logservice.web.ratelimit.os.ftruncate", truncate)
    assert admitted(limiter) == 3


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


HITS = """
import sys
from pathlib import Path
from logservice.web.ratelimit import Rate, RateLimiter
limiter = RateLimiter(Path(sys.argv[1]), Rate(3000, 86400), clock=lambda: 1.7e9)
print("ready", flush=True)
sys.stdin.readline()
print(sum(limiter.hit("203.0.113.7") == 0 for _ in range(1500)))
"""

FORKS = """
import os, sys
from pathlib import Path
from logservice.web.ratelimit import Rate, RateLimiter
limiter = RateLimiter(Path(sys.argv[1]), Rate(3000, 86400), clock=lambda: 1.7e9)
limiter.hit("203.0.113.7")
start, go = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(go)
        os.read(start, 1)
        break
else:
    os.close(go)
found = sum(limiter.hit("203.0.113.7") == 0 for _ in range(1500))
os.write(1, b"%d\\n" % found)
"""


def run(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_are_admitted_exactly_the_count_also_while_the_file_is_made(path: Path) -> None:
    workers = [run(HITS, path) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert sum(int(output) for output in outputs) == 3000


def test_forked_processes_are_admitted_exactly_the_count(path: Path) -> None:
    output = run(FORKS, path).communicate(timeout=60)[0]
    assert len(output.split()) == 4
    assert sum(int(found) for found in output.split()) + 1 == 3000
