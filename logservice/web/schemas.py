"""What each endpoint understands of a query string, and what each audience sees of a row."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, fields, post_load, pre_load, validate

from ..exports.formats import FORMATS, NDJSON
from ..store import ids
from ..store.intervals import INTERVALS
from ..store.usage import SIZES, UTC
from .fields import (
    EpochSeconds,
    Flag,
    Keyword,
    Name,
    Names,
    PageNumber,
    PageSize,
    PlainText,
    PurgeTarget,
    TimeZone,
    TypeOrName,
    Whole,
)

PAGE_SIZE = 20
SEARCH_LIMIT = 100
#: How many of the largest groups may be asked for.
MOST_LARGEST = 100
#: What usage can be grouped by.
GROUPS = ("model_name", "username", "token_name", "channel_id", "group", "type")

# -- examples and words of the document --------------------------------------------------------------------

#: 2025-01-01, 00:00 UTC, and the first id of that second.
MIDNIGHT = 1_735_689_600
ID = ids.first_id(MIDNIGHT)
PATTERN = "a value with `%`, which stands for any text, is a pattern"
SIZE = "rows on a page; 0 and less mean the default, more than 100 means 100"
AN_ID = "a row's `id`:"
ANOTHER_NAME = "`p` by another name; `p` counts where both are given"


def about(description: str, example: Any, **more: Any) -> dict[str, Any]:
    """Return what a field says of itself in the OpenAPI document."""
    return {"description": description, "example": example, **more}


NOT_OLDER = about("not older than this second (UTC); a fraction is floored, 0 is no limit", MIDNIGHT)
NOT_NEWER = about("not newer than this second, which is included; 0 is no limit", MIDNIGHT + 86399)

# -- query strings -----------------------------------------------------------------------------------------


class QueryString(Schema):
    """Parameters: an empty value is an absent one; unknown ones are ignored unless a schema refuses them."""

    class Meta:
        unknown = EXCLUDE

    @pre_load
    def drop_empty(self, data: Any, **_: Any) -> dict[str, str]:
        """Treat `?type=` like no `type` at all."""
        return {name: value for name, value in data.items() if value.strip() != ""}


class Range(QueryString):
    """A range of time, and the type: what every endpoint that reads rows understands."""

    type = TypeOrName(load_default=None, metadata=about("number or name of a type; 0 is all", "consume"))
    start_timestamp = EpochSeconds(load_default=0, metadata=NOT_OLDER)
    end_timestamp = EpochSeconds(load_default=0, metadata=NOT_NEWER)
    model_name = PlainText(metadata=about(f"this model; {PATTERN}", "gpt-4o%"))


class OwnFilters(Range):
    """The filters a user may narrow their own rows with."""

    token_name = PlainText(metadata=about(f"calls made with the key of this name; {PATTERN}", "laptop"))
    group = PlainText(metadata=about("this group", "default"))
    request_id = PlainText(metadata=about("this request", "req-1"))


class AllFilters(OwnFilters):
    """The filters an administrator may use."""

    username = PlainText(metadata=about(f"this user; {PATTERN}", "alice"))
    channel = Whole(metadata=about("the upstream with this number", 3))
    ip = PlainText(metadata=about("calls from this address", "203.0.113.9"))


class Paged(QueryString):
    """The number of a page under either of two names; schemas declare both, and views see `p` alone."""

    @pre_load
    def drop_empty(self, data: Any, **_: Any) -> dict[str, str]:
        """Treat `page` like nothing where `p` is given as well."""
        given = super().drop_empty(data)
        return {name: value for name, value in given.items() if name != "page" or "p" not in given}

    @post_load
    def name_it_p(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Hand on the number of `page` as that of `p`."""
        if "page" in data:
            data["p"] = data.pop("page")
        return data


class Paging(Paged):
    """Which page, or which rows beside a cursor."""

    p = PageNumber(load_default=1, metadata=about("page, from 1; 0 and less mean 1; `page` works too", 2))
    page = PageNumber(metadata=about(ANOTHER_NAME, 2))
    page_size = PageSize(PAGE_SIZE, load_default=PAGE_SIZE, metadata=about(SIZE, 10))
    before = Whole(
        metadata=about(f"{AN_ID} the rows next to it on the older side; `p` then counts for nothing", ID)
    )
    after = Whole(metadata=about(f"{AN_ID} the rows next to it on the newer side", ID))


class OwnLogs(OwnFilters, Paging):
    """`GET /api/log/self`."""


class AllLogs(AllFilters, Paging):
    """`GET /api/log/`."""


class Searching(QueryString):
    """What is looked for, and how much of it."""

    keyword = Keyword(
        required=True,
        error_messages={"required": "is required"},
        metadata=about(
            "a type by number or name, or what to look for in `content` and `model_name`", "too many"
        ),
    )
    page_size = PageSize(SEARCH_LIMIT, load_default=SEARCH_LIMIT, metadata=about(SIZE, 10))
    before = Whole(metadata=about(f"{AN_ID} goes on to older rows", ID))


class OwnSearch(OwnFilters, Searching):
    """`GET /api/log/self/search`."""


class AllSearch(AllFilters, Searching):
    """`GET /api/log/search`."""


class Grouped(QueryString):
    """What usage is told apart by."""

    group_by = Names(
        GROUPS, load_default=(), metadata=about("told apart by these; without it one sum", ["model_name"])
    )
    interval = Name(
        INTERVALS, load_default="none", metadata=about("by intervals; weeks begin on Monday", "day")
    )
    timezone = TimeZone(load_default=UTC, metadata=about("whose calendar, by its IANA name", "Asia/Shanghai"))
    top = Whole(
        validate=validate.Range(1, MOST_LARGEST),
        metadata=about(
            "only so many groups, the largest; the others are one sum", 10, minimum=1, maximum=MOST_LARGEST
        ),
    )
    top_by = Name(tuple(SIZES), load_default="quota", metadata=about("by what they are large", "requests"))


class OwnUsage(OwnFilters, Grouped):
    """`GET /api/log/self/usage`."""


class AllUsage(AllFilters, Grouped):
    """`GET /api/log/usage`."""


class OwnHours(QueryString):
    """`GET /api/data/self`. What existing clients send besides, such as `default_time`, is not needed."""

    start_timestamp = EpochSeconds(
        load_default=0,
        metadata=about("hours that begin from this second on; 30 days before the end", MIDNIGHT),
    )
    end_timestamp = EpochSeconds(
        load_default=0, metadata=about("hours that begin up to this second; now if missing", MIDNIGHT + 3599)
    )


class AllHours(OwnHours):
    """`GET /api/data/`."""

    username = PlainText(metadata=about("of this user by model, instead of the whole site by model", "alice"))


class Exporting(QueryString):
    """What an export is written as, and the row behind which it goes on."""

    format = Name(FORMATS, load_default=NDJSON, metadata=about("one row as JSON a line, or CSV", "csv"))
    bom = Flag(load_default=False, metadata=about("begin CSV with a byte order mark", "1"))
    after = Whole(metadata=about(f"{AN_ID} an export goes on strictly behind it", ID))


class OwnExport(OwnFilters, Exporting):
    """`GET /api/log/self/export`."""


class AllExport(AllFilters, Exporting):
    """`GET /api/log/export`."""


class KeyLogs(Range, Paged):
    """`GET /api/log/token`. Without `p` and `page_size` all of the newest rows are meant."""

    p = Whole(
        metadata=about(
            "page, from 1; all of the newest rows without it and without `page_size`; `page` works too", 1
        )
    )
    page = Whole(metadata=about(ANOTHER_NAME, 1))
    page_size = PageSize(PAGE_SIZE, metadata=about(SIZE, 10))


class Purging(QueryString):
    """`DELETE /api/log/`: unknown parameters are refused, for a misspelt one would delete too much."""

    class Meta:
        unknown = RAISE

    target_timestamp = PurgeTarget(
        load_default=0,
        metadata=about("rows strictly older than this second go; not in the future", MIDNIGHT, required=True),
    )
    type = TypeOrName(load_default=None, metadata=about("only rows of this type; 0 is all", "login"))
    keep_usage = Flag(
        load_default=False, metadata=about("1 keeps what the deleted rows used in the statistics", "1")
    )


# -- rows --------------------------------------------------------------------------------------------------


def number(description: str, example: int | None, **options: Any) -> fields.Integer:
    """Return a whole number of an answer."""
    return fields.Integer(**{"required": True, **options}, metadata=about(description, example))


def text(description: str, example: str | None, **options: Any) -> fields.String:
    """Return a text of an answer."""
    return fields.String(**{"required": True, **options}, metadata=about(description, example))


def flag(description: str, example: bool, **options: Any) -> fields.Boolean:
    """Return a yes or no of an answer."""
    return fields.Boolean(**{"required": True, **options}, metadata=about(description, example))


class KeyRow(Schema):
    """What the holder of an API key sees of a row."""

    id = number("grows with time, unique, exact in JavaScript", ID)
    user_id = number("whose call it was", 7)
    created_at = number("epoch seconds", MIDNIGHT)
    type = number("1 topup, 2 consume, 3 manage, 4 error, 5 system, 6 refund, 7 login", 2)
    content = text("a text for people", "")
    username = text("whose call it was, by the name they had then", "alice")
    token_name = text("which of their API keys", "laptop")
    model_name = text("which model", "gpt-4o-mini")
    quota = number("what it cost, in the unit of the gateway", 1500)
    prompt_tokens = number("tokens in", 820)
    completion_tokens = number("tokens out", 96)
    cached_tokens = number("those of the input that came from a cache", 0)
    use_time = number("how long it took, in whole seconds", 2)
    use_time_ms = number("how long it took, in milliseconds", 2400)
    first_token_ms = number("milliseconds until the first token", 310)
    is_stream = flag("whether the answer was streamed", True)
    token_id = number("which API key; 0 if unknown", 70)
    group = text("the price group of the caller", "default")
    request_id = text("how the gateway calls this request", "req-1")
    other = text("the JSON text of an object, or empty; some of it is for administrators only", '{"frt":310}')


class OwnRow(KeyRow):
    """What a user sees of their own rows."""

    channel_id = number("which upstream served it", 3)
    ip = text("the caller's address", "203.0.113.9")


class AdminRow(OwnRow):
    """What an administrator sees."""

    channel = number("`channel_id` again, for older clients", 3)
    channel_name = text("the name of the upstream", "east")
