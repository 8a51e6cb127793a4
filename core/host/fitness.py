"""Whether a profile fits this host: each role's device, models and memory, each device's budget, and the threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

from core.host.devices import CPU, Devices
from core.host.finding import Finding
from core.host.peaks import PeakStore, peak_key
from core.settings.profile import Profile, RoleConfig
from models_local.errors import ModelUnknown
from models_local.store import Store


def fitness(profile: Profile, *, devices: Devices, store: Store, peaks: PeakStore) -> list[Finding]:
    """Look at every role and every device that the profile names."""
    return [
        gpu(profile, devices),
        *(_budget(profile, name, budget_mib, devices) for name, budget_mib in profile.budgets_mib().items()),
        *(
            role(place, budget_mib=profile.budgets_mib()[place.device], devices=devices, store=store, peaks=peaks)
            for place in profile.places()
        ),
        together(profile, store=store, peaks=peaks),
        threads(profile),
    ]


def gpu(profile: Profile, devices: Devices) -> Finding:
    """Say which GPUs there are, and what keeps those that are there from being used."""
    wanted = sorted({place.device for place in profile.places()} - {CPU})
    listed = "; ".join(f"{one.name} {one.product}, {one.free_mib} of {one.total_mib} MiB free" for one in devices.gpus)
    driver = f" (driver {devices.driver})" if devices.driver else ""
    if devices.problem:
        return Finding(
            name="gpu",
            verdict="problem" if wanted else "note",
            found=f"{devices.problem}{f'; {listed}' if listed else ''}",
            advice="repair or reinstall NVIDIA's driver and restart; until then set CLOISTER_PROFILE=embedded",
        )
    if listed:
        return Finding(name="gpu", verdict="ok", found=listed + driver)
    if not wanted:
        return Finding(name="gpu", verdict="ok", found=f"none; profile '{profile.name}' needs none")
    advice = "install NVIDIA's driver, or set CLOISTER_PROFILE=embedded"
    return Finding(name="gpu", verdict="problem", found=f"none; the profile names {', '.join(wanted)}", advice=advice)


def role(place: RoleConfig, *, budget_mib: float, devices: Devices, store: Store, peaks: PeakStore) -> Finding:
    """Say whether one engine can be loaded here."""
    name = f"role {place.role}"
    found = f"{place.engine} on {place.device}, {' and '.join(place.models) or 'no model'}"
    if devices.device(place.device) is None:
        advice = f"name a device of this host in the profile; it has {', '.join(one.name for one in devices.found)}"
        return Finding(name=name, verdict="problem", found=f"{found}: no such device", advice=advice)
    if problem := _models(place, store):
        return Finding(name=name, verdict="problem", found=f"{found}: {problem[0]}", advice=problem[1])
    peak = peaks.peak(peak_key(place, store.catalog))
    if peak is None:
        return Finding(name=name, verdict="ok", found=f"{found}; not measured yet, budget {budget_mib:.0f} MiB")
    needed_mib = peak.mib if place.device == CPU else peak.device_mib
    found = f"{found}; {needed_mib:.0f} MiB measured of {budget_mib:.0f}"
    if needed_mib > budget_mib:
        advice = "raise the device's budget in the profile, lower the role's batch or context, or name a smaller model"
        return Finding(name=name, verdict="problem", found=found, advice=advice)
    return Finding(name=name, verdict="ok", found=found)


def together(profile: Profile, *, store: Store, peaks: PeakStore) -> Finding:
    """Say whether the engines that are always there leave room for the largest of the others."""
    name = "engines together"
    constant_mib, largest_mib, unmeasured = 0.0, 0.0, []
    for place in profile.places():
        try:
            peak = peaks.peak(peak_key(place, store.catalog))
        except ModelUnknown:
            peak = None
        if peak is None:
            unmeasured.append(place.role)
        elif place.pinned:
            constant_mib += peak.mib
        else:
            largest_mib = max(largest_mib, peak.mib)
    found = (
        f"{constant_mib:.0f} MiB pinned, {largest_mib:.0f} MiB for the largest other engine, "
        f"of {profile.memory_budget_mib} MiB"
    )
    if unmeasured:
        found += f"; not measured yet: {', '.join(unmeasured)}"
    if constant_mib + largest_mib > profile.memory_budget_mib:
        advice = "pin fewer roles, or raise memory_budget_mib in the profile"
        return Finding(name=name, verdict="problem", found=found, advice=advice)
    return Finding(name=name, verdict="ok", found=found)


def threads(profile: Profile) -> Finding:
    """Compare the cores with the widest engine, and with all engines at once."""
    cores = len(os.sched_getaffinity(0))
    places = profile.places()
    widest = max(places, key=lambda place: place.threads)
    total = sum(place.threads for place in places)
    found = f"{cores} cores; the widest engine ({widest.role}) uses {widest.threads} threads, all together {total}"
    if widest.threads > cores:
        advice = f"lower threads in the profile to {cores}"
        return Finding(name="processors", verdict="note", found=found, advice=advice)
    if total > cores:
        advice = "engines of bulk work run at nice 10 and give way; more cores let them run at the same time"
        return Finding(name="processors", verdict="note", found=found, advice=advice)
    return Finding(name="processors", verdict="ok", found=found)


def _budget(profile: Profile, name: str, budget_mib: int, devices: Devices) -> Finding:
    device = devices.device(name)
    called = f"budget {name}"
    if device is None:
        advice = "remove it from device_budgets_mib, or choose another profile"
        return Finding(
            name=called, verdict="problem", found=f"{budget_mib} MiB of a device that is not there", advice=advice
        )
    found = f"{budget_mib} of {device.total_mib} MiB, {device.free_mib} MiB free"
    if budget_mib <= device.total_mib:
        return Finding(name=called, verdict="ok", found=found)
    setting = "memory_budget_mib" if name == CPU else "device_budgets_mib"
    advice = f"lower {setting} of profile '{profile.name}', or choose another CLOISTER_PROFILE"
    return Finding(name=called, verdict="problem", found=found, advice=advice)


def _models(place: RoleConfig, store: Store) -> tuple[str, str] | None:
    missing: list[str] = []
    for model in place.models:
        try:
            if not store.present(model):
                missing.append(model)
        except ModelUnknown:
            return (
                f"'{model}' is not in configs/models.toml",
                "add the model with its source, files, sha256 and licence to configs/models.toml, then import it",
            )
    if not missing:
        return None
    names = " ".join(missing)
    return f"{store.root} lacks {names}", f"run ./cloister models pull {names}, or ./cloister models import FILE"


def problems(findings: Sequence[Finding]) -> list[Finding]:
    """Return what keeps the profile from working here."""
    return [finding for finding in findings if finding.verdict == "problem"]
