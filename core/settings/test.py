"""Settings of the test lanes: the same, in a temporary CLOISTER_HOME of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.settings.env import env, environment_set

TEST_HOME_PREFIX = "cloister-test-"

if env().database_url or env().owner_database_url or env().broker_url:
    raise RuntimeError("tests empty their database: unset CLOISTER_DATABASE_URL, _OWNER_DATABASE_URL and _BROKER_URL")

# A test never touches a real home. Child processes of a test inherit the variable and stay in the same one.
if not env().home_path.name.startswith(TEST_HOME_PREFIX):
    environment_set(CLOISTER_HOME=str(Path(tempfile.mkdtemp(prefix=TEST_HOME_PREFIX)).resolve()))

from core.settings.base import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
