"""What must be true before the server starts: one id, one sentence, one hint each."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections, router
from django.utils.module_loading import import_string

from upsrs.access import Policy
from upsrs.conf import conf, every_setting
from upsrs.models import write_alias

REDIS_LAYER = "channels_redis.core.RedisChannelLayer"


@register(Tags.database)
def check_database(**_: Any) -> list[CheckMessage]:
    """Only the databases whose order of commit we know how to number by."""
    connection = connections[write_alias()]
    if connection.vendor not in ("postgresql", "sqlite"):
        return [
            Error(
                f"upsrs runs on PostgreSQL and SQLite, not on {connection.display_name}.",
                hint="Route the models of upsrs to a database of one of these two.",
                id="upsrs.E001",
            )
        ]
    options = connection.settings_dict.get("OPTIONS") or {}
    if connection.vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        return [
            checks.Warning(
                "SQLite transactions begin without the write lock: two writers at a time fail "
                'with "database is locked".',
                hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20}.',
                id="upsrs.W002",
            )
        ]
    return []


@register("upsrs")
def check_one_database(**_: Any) -> list[CheckMessage]:
    """Change and event commit together, and subscriptions point to users: all in one database."""
    models = (*apps.get_app_config("upsrs").get_models(), get_user_model())
    if len({router.db_for_write(model) for model in models}) == 1:
        return []
    return [
        Error(
            "The models of upsrs and the portal's users are not in one database: foreign keys and "
            "transactions do not reach across.",
            hint="Let DATABASE_ROUTERS send upsrs where the users are, or both elsewhere.",
            id="upsrs.E009",
        )
    ]


@register("upsrs")
def check_settings(**_: Any) -> list[CheckMessage]:
    known = {it.name: it for it in every_setting()}
    found: list[CheckMessage] = [
        Error(
            f"{name} must be {setting.wanted}.",
            hint="docs/settings.md says what each setting may be.",
            id="upsrs.E003",
        )
        for name, setting in known.items()
        if not setting.allows(getattr(settings, name, setting.default))
    ]
    found += [
        checks.Warning(
            f"{name} is no setting of upsrs, and does nothing.",
            hint="docs/settings.md has them all.",
            id="upsrs.W010",
        )
        for name in dir(settings)
        if name.startswith("UPSRS_") and name not in known
    ]
    if any(message.id == "upsrs.E003" for message in found):
        return found
    try:
        chosen = import_string(conf.POLICY)
    except ImportError:
        chosen = None
        found.append(
            Error(
                "UPSRS_POLICY names no class that can be imported.",
                hint='Give a dotted path, like "portal.access.Policy".',
                id="upsrs.E004",
            )
        )
    asked = [name for name in vars(Policy) if not name.startswith("_")]
    missing = [name for name in asked if chosen and not callable(getattr(chosen, name, None))]
    if missing:
        found.append(
            Error(
                f"The class in UPSRS_POLICY does not answer: {', '.join(missing)}.",
                hint="Derive it from upsrs.access.ModelPermissionPolicy.",
                id="upsrs.E011",
            )
        )
    if conf.LOG_RETENTION_SECONDS < conf.SUBSCRIPTION_TTL_SECONDS:
        found.append(
            checks.Warning(
                "The log is kept for a shorter time than subscriptions wait for their socket.",
                hint="Raise UPSRS_LOG_RETENTION_SECONDS, or lower UPSRS_SUBSCRIPTION_TTL_SECONDS.",
                id="upsrs.W005",
            )
        )
    if conf.WORKITEM_RETENTION_SECONDS < 86_400:
        found.append(
            checks.Warning(
                "Finished workitems are removed within a day of their end: who looks for results "
                "later does not find them.",
                hint="IHE wants 24 hours at least: raise UPSRS_WORKITEM_RETENTION_SECONDS.",
                id="upsrs.W008",
            )
        )
    return found


@register("upsrs")
def check_channel_layer(**_: Any) -> list[CheckMessage]:
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    if layer.get("BACKEND") != REDIS_LAYER:
        return []
    hosts = layer.get("CONFIG", {}).get("hosts", [])
    if any(isinstance(host, dict) and "socket_timeout" in host for host in hosts):
        return []
    return [
        checks.Warning(
            "redis-py gives up on a silent connection after 5 s, and so on every idle socket's "
            "channel.",
            hint='Give each of the layer\'s hosts as a dict with "socket_timeout": None.',
            id="upsrs.W006",
        )
    ]


@register("upsrs", deploy=True)
def check_one_process(**_: Any) -> list[CheckMessage]:
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    if connections[write_alias()].vendor != "sqlite" or "InMemory" not in layer.get("BACKEND", ""):
        return []
    return [
        checks.Warning(
            "SQLite and the in-memory channel layer serve one process on one machine.",
            hint="That may be what you want. For more, use PostgreSQL and channels-redis.",
            id="upsrs.W007",
        )
    ]


@register("upsrs", deploy=True)
def check_hosts(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            checks.Warning(
                "ALLOWED_HOSTS takes any host: whoever sends one chooses the addresses that we "
                "hand out.",
                hint="Name the hosts by which people and machines reach the portal.",
                id="upsrs.W012",
            )
        )
    plain = [it for it in settings.CSRF_TRUSTED_ORIGINS if it.startswith("http://")]
    if plain and settings.SESSION_COOKIE_SECURE:
        found.append(
            checks.Warning(
                f"Cookies travel by TLS only, and {', '.join(plain)} in CSRF_TRUSTED_ORIGINS is "
                "without.",
                hint="Name it with https://.",
                id="upsrs.W013",
            )
        )
    return found


@register("upsrs", deploy=True)
def check_proxies(**_: Any) -> list[CheckMessage]:
    names_scheme = settings.SECURE_PROXY_SSL_HEADER is not None
    if (names_scheme or settings.USE_X_FORWARDED_HOST) and not conf.TRUSTED_PROXIES:
        return [
            checks.Warning(
                "A proxy's headers are believed, but UPSRS_TRUSTED_PROXIES is 0: the proxy's "
                "address stands in the place of every client's.",
                hint="Set UPSRS_TRUSTED_PROXIES to the number of proxies in front.",
                id="upsrs.W014",
            )
        ]
    if conf.TRUSTED_PROXIES and not names_scheme:
        return [
            checks.Warning(
                "There are proxies, but SECURE_PROXY_SSL_HEADER is not set: behind TLS the "
                "addresses that we hand out begin with http:// and ws://.",
                hint='Set it to ("HTTP_X_FORWARDED_PROTO", "https"), and let the proxy overwrite '
                "that header.",
                id="upsrs.W015",
            )
        ]
    return []
