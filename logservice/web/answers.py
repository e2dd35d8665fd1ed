"""What is inside the envelope of each answer, for the OpenAPI document.

Views write these answers as plain mappings, which are quicker; a test compares what they write with this.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from .schemas import GROUPS, MIDNIGHT, AdminRow, KeyRow, OwnRow, about, flag, number, text


def one(schema: type[Schema], **options: Any) -> fields.Nested:
    """Return an object of a schema."""
    return fields.Nested(schema, **{"required": True, **options})


def many(schema: type[Schema], description: str = "") -> fields.List[Any]:
    """Return an array of objects of a schema."""
    more = {"description": description} if description else {}
    return fields.List(fields.Nested(schema), required=True, metadata=more)


# -- rows and sums of them ---------------------------------------------------------------------------------


class PageOf(Schema):
    """One page of a list."""

    total = number("how many rows there are in all, exact", 1)
    page = number("the page that was used; 1 beside a cursor", 1)
    page_size = number("the size of a page that was used", 20)


class OwnPage(PageOf):
    """A page of a user's own rows."""

    items = many(OwnRow, "newest first")


class AdminPage(PageOf):
    """A page of all rows."""

    items = many(AdminRow, "newest first")


class Sums(Schema):
    """Sums over range and filters: requests and errors of any type, the others of the type asked for."""

    quota = number("what it cost; of type consume unless another is asked for", 1500)
    requests = number("calls, the failed ones among them, whatever the type", 2)
    errors = number("calls that failed, whatever the type", 1)
    prompt_tokens = number("tokens in", 820)
    completion_tokens = number("tokens out", 96)
    cached_tokens = number("tokens from a cache", 0)


class Statistics(Sums):
    """Sums, and rates of the last minute."""

    rpm = number("rows of the last 60 seconds, whatever the range", 1)
    tpm = number("tokens of the last 60 seconds, whatever the range", 916)


class UsageGroup(Sums):
    """The usage of a group in an interval; which names are there, `group_by` says. Null is all others."""

    model_name = text("which model", "gpt-4o-mini", required=False, allow_none=True)
    username = text("whose calls", "alice", required=False, allow_none=True)
    token_name = text("which API key", "laptop", required=False, allow_none=True)
    channel_id = number("which upstream", 3, required=False, allow_none=True)
    group = text("which price group", "default", required=False, allow_none=True)
    type = number("which type of rows", 2, required=False, allow_none=True)
    start = number("when the interval begins, in epoch seconds", MIDNIGHT, required=False)
    start_time = text(
        "the same in ISO 8601, as the zone's clocks show it", "2025-01-01T00:00:00Z", required=False
    )
    rows = number("rows that are in the log; kept usage of purged ones counts everywhere but here", 1)
    use_time_ms = number("how long calls took, in milliseconds", 2400)


class Usage(Schema):
    """Usage by groups and intervals, and how the question was understood."""

    start_timestamp = number("0 is an open end", MIDNIGHT)
    end_timestamp = number("0 is an open end", MIDNIGHT + 86399)
    interval = text("hour, day, week, month or none", "day")
    timezone = text("whose calendar", "UTC")
    group_by = fields.List(
        fields.String(), required=True, metadata=about("what groups are told apart by", list(GROUPS))
    )
    exact = flag("false where an end of the range lies within a quarter hour of kept usage", True)
    top = number("how many groups were asked for; only with `top`", 10, required=False)
    top_by = text("by what they are the largest; only with `top`", "quota", required=False)
    groups = number("how many groups there are; only with `top`", 25, required=False)
    items = many(UsageGroup, "the oldest interval first, then by the values of the groups, or by size")


class HourOfUsage(Schema):
    """An hour of a model, as the dashboard of new-api reads it."""

    user_id = number("whose; 0 for the whole site", 7)
    username = text("whose; empty for the whole site", "alice")
    model_name = text("which model", "gpt-4o-mini")
    created_at = number("the start of the hour, in epoch seconds", MIDNIGHT)
    token_used = number("tokens in and out", 916)
    count = number("calls", 1)
    quota = number("what it cost", 1500)


# -- writing -----------------------------------------------------------------------------------------------


class Refusal(Schema):
    """An event that was not stored."""

    index = number("its place in the body, from 0", 2)
    message = text("what is wrong with it", "unknown field 'colour'")


class Recorded(Schema):
    """What became of the events of a post."""

    accepted = number("how many were stored", 2)
    rejected = many(Refusal, "those that were not")


# -- maintenance -------------------------------------------------------------------------------------------


class PurgeProgress(Schema):
    """How far a purge is. While none goes on, `running` stands alone."""

    running = flag("whether a purge goes on", True)
    before = number("rows strictly older than this second go", MIDNIGHT, required=False)
    type = number("only rows of this type; null for all", 7, required=False, allow_none=True)
    keep_usage = flag("whether the usage of the rows is kept", False, required=False)
    deleted = number("rows that are gone", 5000, required=False)
    to_go = number("rows that have yet to go", 1200, required=False)
    started_at = number("epoch seconds: when it began", MIDNIGHT + 86400, required=False)
    updated_at = number("epoch seconds: when its last batch went", MIDNIGHT + 86402, required=False)


class TypeInLog(Schema):
    """What rows of a type take."""

    type = number("number of the type", 2)
    name = text("its name; null for a number without one", "consume", allow_none=True)
    rows = number("how many there are", 120)
    bytes = number("about how many bytes they take", 24576)


class BucketDrift(Schema):
    """A sum that is not what it should be."""

    table = text("the table of the bucket", "log_usage_hourly")
    span = number("its length in seconds", 3600)
    bucket = number("the second it begins with", MIDNIGHT)
    retained = number("1 or 2 for usage kept from purged rows", 0)
    dimensions = fields.Dict(required=True, metadata=about("what it sums", {"model_name": "gpt-4o-mini"}))
    expected = fields.Dict(
        required=True, allow_none=True, metadata=about("its sums as they should be", {"quota": 5})
    )
    found = fields.Dict(required=True, allow_none=True, metadata=about("its sums as they are", {"quota": 7}))


class LogDrift(Schema):
    """The sums that are not what they should be."""

    count = number("how many", 1)
    cannot_be_mended = number("those that `logservice rebuild` does not mend", 0)
    first = many(BucketDrift, "up to 20 of them")


class Texts(Schema):
    """What is wrong with contents."""

    missing = number("rows refer to them and they are not there", 0)
    unused = number("no row refers to them", 0)
    not_found_by_search = number("a search does not find them", 0)


class KeptFor(Schema):
    """How long rows of a type are kept."""

    type = number("number of the type", 4)
    name = text("its name", "error")
    seconds = number("how long", 1209600)


class Health(Schema):
    """What the log holds and takes, and whether its sums agree with its rows."""

    sound = flag("true if nothing is wrong with what was looked at", False)
    schema_version = text("version of the tables", "0007", allow_none=True)
    schema = text("current, older, newer or empty", "current")
    rows = number("how many rows there are", 120)
    oldest = number("the second of the first row; null for an empty log", MIDNIGHT, allow_none=True)
    newest = number("the second of the last row; null for an empty log", MIDNIGHT + 86399, allow_none=True)
    types = many(TypeInLog, "each type that there are rows of")
    database_bytes = number("what the database takes", 4_300_800)
    wal_bytes = number("its write-ahead log; null on PostgreSQL", 0, allow_none=True)
    free_bytes = number("what is left on its disk; null on PostgreSQL", 52_000_000_000, allow_none=True)
    table_bytes = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata=about("on PostgreSQL what each table takes, with its indexes", {}),
    )
    full = flag("whether all days were to be compared", False)
    days = number("how many days there are", 1)
    days_checked = number("how many were compared", 1)
    drift = one(LogDrift)
    texts = one(Texts)
    wrong_seconds = number("seconds of the last minutes whose rates are not those of the rows", 0)
    damage = fields.List(
        fields.String(),
        required=True,
        metadata=about("what SQLite says of its file, if all of it was read", []),
    )
    retention = many(KeptFor, "for each type that `LOGSERVICE_RETENTION` names")
    max_db_size = number("bytes of `LOGSERVICE_MAX_DB_SIZE`", 10**10, allow_none=True)


class Person(Schema):
    """Somebody who was recognised."""

    id = number("their number", 7)
    username = text("their name", "alice")
    role = text("user, admin or writer", "user")


# -- what the envelope holds -------------------------------------------------------------------------------

OWN_PAGE, ADMIN_PAGE = one(OwnPage), one(AdminPage)
KEY_ROWS, OWN_ROWS, ADMIN_ROWS = many(KeyRow), many(OwnRow), many(AdminRow)
STATISTICS, USAGE, HOURS = one(Statistics), one(Usage), many(HourOfUsage)
RECORDED, PERSON = one(Recorded), one(Person)
PURGED = number("how many rows were deleted", 5000)
PROGRESS, HEALTH = one(PurgeProgress), one(Health)
OK = text("all is well", "ok")
