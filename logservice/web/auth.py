"""Who may enter: the only module that reads credentials."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hmac import compare_digest
from typing import Any

from flask import Request, Response, g, request, url_for

from ..store.scope import Scope
from .described import UNREACHABLE, facts_of, noted
from .principal import Principal, ResolveKey
from .responses import ApiError
from .state import current_state

View = Callable[..., Response]

_PRINCIPAL = "_logservice_principal"
_SCOPE = "_logservice_scope"
_NO_TOKEN = "a valid access token is required"  # nosec B105 # a message
UNKNOWN_KEY = "Token不存在或无权限"
_TOO_MANY = "too many requests"
#: What an unknown key costs of the rate limit, so that guessing is slow.
_COST_OF_UNKNOWN = 5


def bearer(sent: Request) -> str:
    """Return the credential of the Authorization header, `Bearer x` or bare `x`; empty when there is none."""
    header = sent.headers.get("Authorization", "").strip()
    scheme, _, rest = header.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else header


def by_access_token(sent: Request) -> Principal | None:
    """Recognise a caller by one of the access tokens issued here."""
    token = bearer(sent)
    user = current_state().store.user_of(token) if token else None
    return None if user is None else Principal(user.id, user.username, user.role)


def asks_host() -> bool:
    """Whether a host recognises callers: perhaps by a cookie, which browsers send for any page."""
    return current_state().authenticate is not by_access_token


def requires(*roles: str) -> Callable[[View], View]:
    """Let only callers of these roles reach a view: 401 for strangers, 403 for other roles."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            principal = _recognised()
            if principal is None:
                raise ApiError(401, _NO_TOKEN + _hint(), headers={"WWW-Authenticate": "Bearer"})
            if principal.role not in roles:
                raise ApiError(403, _needs(roles))
            setattr(g, _PRINCIPAL, principal)
            return view(*args, **kwargs)

        refusals = {401: _NO_TOKEN, 403: _needs(roles), 503: UNREACHABLE}
        return noted(guarded, roles=roles, failures=refusals)

    return decorate


def requires_scraper(view: View) -> View:
    """Let only administrators and holders of LOGSERVICE_METRICS_TOKEN reach a view.

    The token is looked at first, so that it opens the view while the database is away.
    """
    for_admins = requires("admin")(view)

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Response:
        token = current_state().settings.metrics_token
        is_known = bool(token) and compare_digest(bearer(request).encode(), token.encode())
        return view(*args, **kwargs) if is_known else for_admins(*args, **kwargs)

    return noted(guarded, roles=("admin",), failures=facts_of(for_admins).failures)


def requires_key(view: View) -> View:
    """Let only holders of a known API key reach a view, not too many at a time from one address."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Response:
        address = client_address()
        limiter = current_state().rate_limiter
        wait = limiter.hit(address) if limiter else 0
        if wait:
            raise ApiError(429, _TOO_MANY, headers={"Retry-After": str(wait)})
        scope, is_guess = _scope_of_key()
        if limiter and is_guess:
            limiter.charge(address, _COST_OF_UNKNOWN - 1)
        if scope is None:
            # Existing pages show the message only when the status is 200.
            raise ApiError(200, UNKNOWN_KEY)
        setattr(g, _SCOPE, scope)
        return view(*args, **kwargs)

    return noted(guarded, takes_key=True, failures={200: UNKNOWN_KEY, 429: _TOO_MANY, 503: UNREACHABLE})


def _hint() -> str:
    """Return what helps somebody who sent nothing, or an API key, which nobody else is told of."""
    credential = bearer(request)
    if not credential and not asks_host():
        return ", in the header Authorization: Bearer TOKEN"
    if not credential.startswith("sk-"):
        return ""
    # Behind a proxy that takes a prefix away too.
    path = url_for("logservice.public.logs")
    return f"; an API key is none, and opens its own rows at {path}"


def _needs(roles: tuple[str, ...]) -> str:
    return f"this needs the role {' or '.join(roles)}"


def _recognised() -> Principal | None:
    """Ask who the caller is. What a host raises instead leaves as an error of its own would."""
    found = current_state().authenticate(request)
    if found is not None and not isinstance(found, Principal):
        raise TypeError(f"authenticate returned {type(found).__name__}; it returns a Principal or None")
    return found


def current_principal() -> Principal:
    """Return who was let in by `requires`."""
    principal: Principal = getattr(g, _PRINCIPAL)
    return principal


def own_scope() -> Scope:
    """Return the caller's own rows."""
    return Scope.user(current_principal().user_id)


def key_scope() -> Scope:
    """Return the rows of the key let in by `requires_key`."""
    scope: Scope = getattr(g, _SCOPE)
    return scope


def _scope_of_key() -> tuple[Scope | None, bool]:
    """Look up the key of the query string, else the one of the Authorization header.

    Return with what it opens whether a key was tried in vain, or there was none: with a known one beside it
    that is told as well, by whose rows are shown.
    """
    state = current_state()
    given = [key for key in (request.args.get("key", "").strip(), bearer(request)) if key]
    for place, key in enumerate(given):
        resolve = state.resolve_key
        scope = state.store.scope_of_key(key) if resolve is None else _scope_by_host(resolve, key)
        if scope is not None:
            return scope, place > 0
    return None, True


def _scope_by_host(resolve: ResolveKey, key: str) -> Scope | None:
    """Look a key up among a host's own, with and without its `sk-`, which is optional."""
    bare = key.removeprefix("sk-")
    for form in dict.fromkeys((key, f"sk-{bare}", bare)):
        found = resolve(form)
        if found is not None:
            scope = Scope.tokens([found] if isinstance(found, int) else found)
            return scope if scope.token_ids else None
    return None


def client_address() -> str:
    """Return the address of whoever sent this request, seen through trusted proxies."""
    forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    return current_state().proxies.client_address(request.remote_addr, hops)
