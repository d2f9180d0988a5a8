"""The portal's settings. Every variable of the environment is optional; README lists them."""

from __future__ import annotations

import os
from pathlib import Path

from csp.constants import NONE, SELF

from portal import environment

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Safety -----------------------------------------------------------------------------------

# On in a bare checkout, so that it starts; a server sets DEBUG=0 and a SECRET_KEY.
DEBUG = environment.flag("DEBUG", default=True)
SECRET_KEY = environment.secret_key("SECRET_KEY", debug=DEBUG, kept_in=BASE_DIR / ".secret-key")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", [".localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS", [])

# Off by default: the portal cannot know whether TLS ends here, at a proxy, or nowhere yet.
SECURE_SSL_REDIRECT = environment.flag("SECURE_SSL_REDIRECT")
SECURE_HSTS_SECONDS = environment.number("SECURE_HSTS_SECONDS", 0)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.flag("SECURE_COOKIES")

# Anybody can send X-Forwarded-*: believe it only behind a proxy that overwrites it.
if environment.flag("TRUST_PROXY_HEADERS"):
    USE_X_FORWARDED_HOST = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    UPSRS_TRUSTED_PROXIES = 1
FORCE_SCRIPT_NAME = environment.path_prefix("PATH_PREFIX")

# Pages load our own files and nothing else, and no script or style stands within a page: what
# somebody managed to write into a workitem stays text. Sockets of our own host count as 'self'.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- Parts ------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # first: its runserver serves sockets too
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "channels",
    "csp",
    "upsrs",
    "portal.worklists",
    "portal.orders",
    "portal",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "portal.headers.PageHeadersMiddleware",
    "portal.staticfiles.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "portal" / "templates"],  # before the admin's own login page
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.navigation.pages",
            ],
        },
    },
]
DATABASES = {
    "default": environment.database(
        os.environ.get("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'db.sqlite3'}",
        # For each server process. 0 leaves the pooling to others (pgbouncer).
        pool_size=environment.number("DATABASE_POOL_SIZE", 20),
    )
}
CHANNEL_LAYERS = {"default": environment.channel_layer(os.environ.get("REDIS_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Each UPSRS_… setting may be given by the environment, under its own name.
globals().update(environment.worklist())

# --- People -----------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "upsrs_board:board"
LOGOUT_REDIRECT_URL = "login"

REST_FRAMEWORK = {
    # The token first: its WWW-Authenticate makes a refusal of nobody a 401 (a session has none).
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

# --- Place and time ---------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
# A DICOM time without an offset is read in this zone: set it to the hospital's.
TIME_ZONE = os.environ.get("TIME_ZONE") or "UTC"
USE_TZ = True

# With its prefix said out loud: under ASGI Django would fix the address before it knows the prefix.
STATIC_URL = f"{FORCE_SCRIPT_NAME or ''}/static/"
# Without it the files are served from where they lie. With it, after "manage.py collectstatic":
# compressed, and under names that tell their contents, so that browsers keep them for good.
STATIC_ROOT = os.environ.get("STATIC_ROOT") or None
WHITENOISE_USE_FINDERS = True
WHITENOISE_MANIFEST_STRICT = False  # not collected yet: served as without it
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Logs -------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "portal.logs.WithoutQueries",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "portal.logs.JSONWithoutQueries"},
    },
    "filters": {"correlation": {"()": "upsrs.logs.CorrelationFilter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["correlation"],
            "formatter": "json" if environment.flag("LOG_JSON") else "line",
        }
    },
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL") or "INFO"},
    # Django gives these handlers of their own, which would print and mail queries.
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
