"""What this machine has and lacks, each finding with what to do about it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
import psycopg

from core.host.broker import broker_binary
from core.host.finding import Finding
from core.host.postgres import EmbeddedPostgres, binary
from core.host.process import ServerFailed
from core.settings.addresses import postgres_url
from core.settings.env import env
from core.settings.profile import Profile

PYTHON_VERSIONS: Final = ((3, 11), (3, 12), (3, 13))
LEAST_DISK_GIB: Final = 5.0
REST_OF_THE_STACK_MIB: Final = 1024
LANDLOCK_CREATE_RULESET: Final = 444
LANDLOCK_VERSION_FLAG: Final = 1


def examine(profile: Profile) -> list[Finding]:
    """Look at everything but what the profile's engines need; that is ``fitness``."""
    return [
        python(),
        disk(),
        memory(profile),
        embedded_servers(),
        user_namespaces(),
        landlock(),
        libreoffice(),
        chromium(),
        leakproof(),
    ]


def python() -> Finding:
    """Look at the interpreter."""
    found = sys.version.split()[0]
    if sys.version_info[:2] in PYTHON_VERSIONS:
        return Finding(name="python", verdict="ok", found=found)
    return Finding(name="python", verdict="problem", found=found, advice="install Python 3.11, 3.12 or 3.13")


def disk() -> Finding:
    """Look at the space under CLOISTER_HOME."""
    place = next(folder for folder in (env().home_path, *env().home_path.parents) if folder.exists())
    free_gib = shutil.disk_usage(place).free / 2**30
    found = f"{free_gib:.0f} GiB free in {place}"
    if free_gib >= LEAST_DISK_GIB:
        return Finding(name="disk", verdict="ok", found=found)
    advice = f"free {LEAST_DISK_GIB:.0f} GiB, or set CLOISTER_HOME to a larger disk"
    return Finding(name="disk", verdict="problem", found=found, advice=advice)


def memory(profile: Profile) -> Finding:
    """Compare the memory with what the profile lets the engines take."""
    total_mib = psutil.virtual_memory().total // 2**20
    needed_mib = profile.memory_budget_mib + REST_OF_THE_STACK_MIB
    found = f"{total_mib} MiB; profile '{profile.name}' uses up to {needed_mib} MiB"
    if total_mib >= needed_mib:
        return Finding(name="memory", verdict="ok", found=found)
    advice = f"lower memory_budget_mib in configs/profiles/{profile.name}.toml, or choose another CLOISTER_PROFILE"
    return Finding(name="memory", verdict="problem", found=found, advice=advice)


def embedded_servers() -> Finding:
    """Look for the programs of PostgreSQL and the broker."""
    try:
        found = f"{binary('postgres')}, {broker_binary()}"
    except ServerFailed as error:
        return Finding(name="servers", verdict="problem", found="missing", advice=str(error))
    return Finding(name="servers", verdict="ok", found=found)


def user_namespaces() -> Finding:
    """Try a user namespace: root needs one for PostgreSQL, the sandbox takes the network away with one."""
    tried = _output(["unshare", "--user", "--net", "--map-root-user", "true"])
    if tried is not None:
        return Finding(name="user namespaces", verdict="ok", found="allowed")
    return Finding(
        name="user namespaces",
        verdict="problem" if os.geteuid() == 0 else "note",
        found="refused by this machine",
        advice="allow them (sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0); "
        "without them do not start as root, and parsers have no network namespace",
    )


def landlock() -> Finding:
    """Ask the kernel for its Landlock version."""
    version = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION_FLAG)
    if version > 0:
        return Finding(name="landlock", verdict="ok", found=f"version {version}")
    advice = "boot a kernel with Landlock (lsm=landlock,...); without it parsers may read files that they need not"
    return Finding(name="landlock", verdict="note", found="not in this kernel", advice=advice)


def libreoffice() -> Finding:
    """Look for the converter of old office files."""
    return _optional(
        "libreoffice",
        ("soffice", "libreoffice"),
        "old .doc, .xls and .ppt files are refused without it: "
        "apt-get install libreoffice-writer libreoffice-calc libreoffice-impress",
    )


def chromium() -> Finding:
    """Look for the browser of the test lane."""
    return _optional(
        "chromium",
        ("chromium", "chromium-browser", "google-chrome"),
        "only the test lane 'browser' needs it: apt-get install chromium chromium-driver",
    )


def leakproof() -> Finding:
    """Ask the database whether full text can use its index under row-level security."""
    name = "full text index"
    url = env().database_url or postgres_url(env().home_path, "app")
    if env().database_url is None and not EmbeddedPostgres(env().home_path).answers():
        return Finding(
            name=name, verdict="note", found="the database does not run", advice="look again after ./cloister up"
        )
    with psycopg.connect(url, connect_timeout=5) as connection:
        query = "select proleakproof from pg_proc where oid = 'ts_match_vq(tsvector,tsquery)'::regprocedure"
        row = connection.execute(query).fetchone()
    if row and row[0]:
        return Finding(name=name, verdict="ok", found="ts_match_vq is leakproof")
    advice = "let a superuser run: ALTER FUNCTION ts_match_vq(tsvector, tsquery) LEAKPROOF; full text scans until then"
    return Finding(name=name, verdict="note", found="ts_match_vq is not leakproof", advice=advice)


def _optional(name: str, programs: Sequence[str], advice: str) -> Finding:
    for program in programs:
        place = shutil.which(program)
        if place is not None:
            return Finding(name=name, verdict="ok", found=str(Path(place)))
    return Finding(name=name, verdict="note", found="not installed", advice=advice)


def _output(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
