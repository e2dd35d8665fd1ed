"""What each endpoint understands of a query string, and what each audience sees of a row."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, fields, pre_load, validate

from ..exports.formats import FORMATS, NDJSON
from ..store.intervals import INTERVALS
from ..store.usage import SIZES, UTC
from .fields import (
    EpochSeconds,
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

    type = TypeOrName(load_default=None)
    start_timestamp = EpochSeconds(load_default=0)
    end_timestamp = EpochSeconds(load_default=0)
    model_name = PlainText()


class OwnFilters(Range):
    """The filters a user may narrow their own rows with."""

    token_name = PlainText()
    group = PlainText()
    request_id = PlainText()


class AllFilters(OwnFilters):
    """The filters an administrator may use."""

    username = PlainText()
    channel = Whole()
    ip = PlainText()


class Paging(QueryString):
    """Which page, or which rows beside a cursor."""

    p = PageNumber(load_default=1)
    page_size = PageSize(PAGE_SIZE, load_default=PAGE_SIZE)
    before = Whole()
    after = Whole()


class OwnLogs(OwnFilters, Paging):
    """`GET /api/log/self`."""


class AllLogs(AllFilters, Paging):
    """`GET /api/log/`."""


class Searching(QueryString):
    """What is looked for, and how much of it."""

    keyword = PlainText(required=True, error_messages={"required": "is required"})
    page_size = PageSize(SEARCH_LIMIT, load_default=SEARCH_LIMIT)
    before = Whole()


class OwnSearch(OwnFilters, Searching):
    """`GET /api/log/self/search`."""


class AllSearch(AllFilters, Searching):
    """`GET /api/log/search`."""


class Grouped(QueryString):
    """What usage is told apart by."""

    group_by = Names(GROUPS, load_default=())
    interval = Name(INTERVALS, load_default="none")
    timezone = TimeZone(load_default=UTC)
    top = Whole(validate=validate.Range(1, MOST_LARGEST))
    top_by = Name(tuple(SIZES), load_default="quota")


class OwnUsage(OwnFilters, Grouped):
    """`GET /api/log/self/usage`."""


class AllUsage(AllFilters, Grouped):
    """`GET /api/log/usage`."""


class OwnHours(QueryString):
    """`GET /api/data/self`. What existing clients send besides, such as `default_time`, is not needed."""

    start_timestamp = EpochSeconds(load_default=0)
    end_timestamp = EpochSeconds(load_default=0)


class AllHours(OwnHours):
    """`GET /api/data/`."""

    username = PlainText()


class Exporting(QueryString):
    """What an export is written as, and the row behind which it goes on."""

    format = Name(FORMATS, load_default=NDJSON)
    bom = fields.Boolean(load_default=False)
    after = Whole()


class OwnExport(OwnFilters, Exporting):
    """`GET /api/log/self/export`."""


class AllExport(AllFilters, Exporting):
    """`GET /api/log/export`."""


class KeyLogs(Range):
    """`GET /api/log/token`. Without `p` and `page_size` all of the newest rows are meant."""

    p = Whole()
    page_size = PageSize(PAGE_SIZE)


class Purging(QueryString):
    """`DELETE /api/log/`: unknown parameters are refused, for a misspelt one would delete too much."""

    class Meta:
        unknown = RAISE

    target_timestamp = PurgeTarget(load_default=0)
    type = TypeOrName(load_default=None)
    keep_usage = fields.Boolean(load_default=False)


# -- rows --------------------------------------------------------------------------------------------------


class KeyRow(Schema):
    """What the holder of an API key sees of a row."""

    id = fields.Integer()
    user_id = fields.Integer()
    created_at = fields.Integer()
    type = fields.Integer()
    content = fields.String()
    username = fields.String()
    token_name = fields.String()
    model_name = fields.String()
    quota = fields.Integer()
    prompt_tokens = fields.Integer()
    completion_tokens = fields.Integer()
    cached_tokens = fields.Integer()
    use_time = fields.Integer()
    use_time_ms = fields.Integer()
    first_token_ms = fields.Integer()
    is_stream = fields.Boolean()
    token_id = fields.Integer()
    group = fields.String()
    request_id = fields.String()
    other = fields.String()


class OwnRow(KeyRow):
    """What a user sees of their own rows."""

    channel_id = fields.Integer()
    ip = fields.String()


class AdminRow(OwnRow):
    """What an administrator sees."""

    channel = fields.Integer()
    channel_name = fields.String()
