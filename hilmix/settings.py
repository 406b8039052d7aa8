"""The one settings file, read top to bottom. `HILMIX_PROFILE` picks defaults; environment variables override them.

Every setting that an operator may want is named `HILMIX_…` and documented in docs/operations.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from hilmix.profiles import profiles
from hilmix.security import CONTENT_SECURITY_POLICY as CONTENT_SECURITY_POLICY
from hilmix.security import key_from_file
from hilmix.version import VERSION

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where state lives ------------------------------------------------------------------------------------------

VAR = Path(env("HILMIX_VAR", default="") or BASE_DIR / "var").resolve()
# It holds answers of people, so it is made for the account that serves them alone.
VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
PORT = env("PORT", default="8000")
HILMIX_PROFILE = env("HILMIX_PROFILE", default="embedded")
try:
    PROFILE = profiles(VAR, PORT)[HILMIX_PROFILE]
except KeyError:
    raise ImproperlyConfigured(
        f"HILMIX_PROFILE is {HILMIX_PROFILE!r}; it can be 'embedded' or 'production'."
    ) from None


def required(name: str, default: str | None) -> str:
    """The environment's value, or the profile's; production has none and says which variable is missing."""
    value = env(name, default=default or "")
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set, and the {HILMIX_PROFILE} profile has no default for it."
        )
    return str(value)


def gigabytes(name: str) -> float:
    """The environment's number, 0 where it has none."""
    value = env(name, default="0")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ImproperlyConfigured(f"{name} is {value!r}; give a number of gigabytes, or 0 for no limit.")
    return number


def secret(name: str, file: str) -> str:
    if PROFILE.generate_keys and name not in env.ENVIRON:
        return key_from_file(VAR / "keys" / file)
    value = required(name, None)
    if len(value) < 32:
        raise ImproperlyConfigured(f"{name} is shorter than 32 characters.")
    return value


HILMIX_PUBLIC_URL = required("HILMIX_PUBLIC_URL", PROFILE.public_url).rstrip("/")
HILMIX_LOST_AFTER = env.int("HILMIX_LOST_AFTER", default=30)  # seconds without a heartbeat
HILMIX_RUNS_GB = gigabytes("HILMIX_RUNS_GB")  # of disk for runs, above which old checkpoints go; 0: no limit
HILMIX_TEST_JOBS = env.bool("HILMIX_TEST_JOBS", default=False)

# --- Security ---------------------------------------------------------------------------------------------------

DEBUG = False
SECRET_KEY = secret("HILMIX_SECRET_KEY", "secret_key")
# HMAC and encryption of participants' external ids.
IDENTITY_KEY = secret("HILMIX_IDENTITY_KEY", "identity_key")
_public = urlsplit(HILMIX_PUBLIC_URL)
ALLOWED_HOSTS = [_public.hostname or "", *env.list("HILMIX_ALLOWED_HOSTS", default=[])]
if HILMIX_PROFILE == "embedded":
    ALLOWED_HOSTS += ["127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [HILMIX_PUBLIC_URL]
_https = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = f"hilmix_session_{PORT}"  # two instances on one host keep apart
CSRF_COOKIE_NAME = f"hilmix_csrf_{PORT}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("HILMIX_BEHIND_PROXY", default=False) else None
)
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
LARGEST_UPLOAD = env.int("HILMIX_LARGEST_UPLOAD", default=500_000_000)  # bytes of a file that is brought
FILE_UPLOAD_HANDLERS = [
    "hilmix.security.LimitedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- Application ------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "hilmix.apps.StaticFiles",
    "rest_framework",
    "drf_spectacular",
    "knox",
    "axes",
    "csp",
    "hilmix.apps.HilmixConfig",
    "hilmix.accounts",
    "hilmix.jobs",
    "elicitation",
    "hilmix.hub",
    "training",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "hilmix.accounts.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hilmix.errors.DomainErrorMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "hilmix.urls"
WSGI_APPLICATION = "hilmix.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "hilmix.accounts.context.what_this_person_may",
            ]
        },
    }
]

# --- Data -------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url_config(required("DATABASE_URL", PROFILE.database_url))}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Measured: without these three, six writers lose a third of their transactions to "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": env.cache_url_config(required("CACHE_URL", PROFILE.cache_url or env("REDIS_URL", default="")))
}

# --- People -----------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = ["username"]  # no IP addresses are stored (design rule 10)
AXES_CLIENT_IP_CALLABLE = "hilmix.accounts.context.no_address"
AXES_DISABLE_ACCESS_LOG = True
SILENCED_SYSTEM_CHECKS = ["axes.W006"]  # wants lockout by address; we keep none and lock the account name
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105  (a model, not a token)
REST_KNOX = {"TOKEN_PREFIX": "hilmix_", "AUTO_REFRESH": False}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["hilmix.accounts.tokens.ApiTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["hilmix.api_parsers.ShallowJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "hilmix.api_schema.Schema",
    "DEFAULT_PAGINATION_CLASS": "hilmix.pagination.Page",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "URL_FORMAT_OVERRIDE": None,  # there is one format, and no parameter that asks for another
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS says nothing that the documentation does not
    "EXCEPTION_HANDLER": "hilmix.errors.problem_json",
    "DEFAULT_THROTTLE_RATES": {"participation": "600/min", "pictures": "12000/min"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "hilmix",
    "DESCRIPTION": "Human-in-the-loop mixup: studies, answers, releases of soft labels, experiments.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "ENUM_NAME_OVERRIDES": {
        "StudyState": "elicitation.studies.models.Study.State",
        "ParticipationState": "elicitation.participants.models.Participation.State",
        "TrialKind": "elicitation.trials.models.Trial.Kind",
        "JobState": "hilmix.jobs.models.JobState",
        "AnalysisKind": "hilmix.hub.models.Analysis.Kind",
    },
}

# --- Long work --------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = required("BROKER_URL", PROFILE.broker_url or env("REDIS_URL", default=""))
if CELERY_BROKER_URL.startswith("filesystem"):
    _broker = VAR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker / "queue"),
        "data_folder_out": str(_broker / "queue"),
        "processed_folder": str(_broker / "processed"),
        "control_folder": str(_broker / "control"),
        "store_processed": False,
        "polling_interval": 0.2,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 48 * 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# --- Pages ------------------------------------------------------------------------------------------------------

# The pages of researchers and admins are in English; participants' pages are in their study's language, one of these.
# Therefore no LocaleMiddleware: what a browser asks for decides neither.
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("he", "עברית")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
# Browser packages as npm installs them: (folder under /static/vendor/, folder under node_modules/).
BROWSER_PACKAGES = {
    "jspsych/dist": "jspsych/dist",
    "@jspsych/plugin-instructions/dist": "@jspsych/plugin-instructions/dist",
    "@jspsych/plugin-survey-multi-choice/dist": "@jspsych/plugin-survey-multi-choice/dist",
    "@jspsych/plugin-call-function/dist": "@jspsych/plugin-call-function/dist",
    "@jspsych/plugin-html-button-response/dist": "@jspsych/plugin-html-button-response/dist",
    "idb-keyval/dist": "idb-keyval/dist",
    "echarts/dist": "echarts/dist",
}
STATICFILES_DIRS = [
    BASE_DIR / "static",
    *(
        (f"vendor/{prefix}", BASE_DIR / "node_modules" / folder)
        for prefix, folder in BROWSER_PACKAGES.items()
        if (BASE_DIR / "node_modules" / folder).is_dir()
    ),
]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": VAR / "media"},
    },
    "staticfiles": {"BACKEND": "hilmix.staticfiles.HashedStorage"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"private": {"()": "hilmix.security.WithoutPrivateLinks"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["private"]}},
    "root": {"handlers": ["stderr"], "level": env("HILMIX_LOG_LEVEL", default="WARNING")},
}
