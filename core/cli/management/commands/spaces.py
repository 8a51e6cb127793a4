"""``./cloister spaces``: embedding spaces listed, made, filled, compared, switched, rolled back and dropped.

Runs beside the database, like migrations: making, sealing and dropping need the owner role.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.utils import timezone

from core.access.errors import Conflict, Invalid, NotFound, Unavailable
from core.access.service import audit
from core.cli.client import NotRunning
from core.cli.output import Outcome, OutcomeCommand
from core.host.postgres import EmbeddedPostgres
from core.remote import WorkerRefused, WorkerUnavailable, space_embed
from core.search.comparison import Comparison, Question, questions_sampled, spaces_compare
from core.segments.fill import FillProgress, fill_progress, fill_start
from core.segments.models import EmbeddingSpace, SpaceName
from core.segments.space_spec import role_of, space_specs
from core.segments.spaces import space_active, space_drop, space_get, space_seal, spaces_ensure
from core.segments.switching import SpaceSummary, space_summary, space_switch, space_switch_back, spaces_summary
from core.settings.env import env
from inference.values import Vectors

POLL_S = 1.0
STALLED_S = 30.0


class Command(OutcomeCommand):
    help = "Lists, makes, fills, compares, switches, rolls back and drops embedding spaces."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(dest="action", required=True)
        self._action(actions, "list", "every space, how far it is, and which one answers searches")
        self._action(actions, "create", "make the spaces of the profile's roles that are not there yet")
        fill = self._action(actions, "fill", "embed what lacks its vector, then index; search goes on meanwhile")
        fill.add_argument("space", help="id, or the beginning of a digest")
        fill.add_argument("--background", action="store_true", help="leave it to the workers and return")
        seal = self._action(actions, "seal", "index a filled space, where the workers may not")
        seal.add_argument("space", help="id, or the beginning of a digest")
        compare = self._action(actions, "compare", "ask the active space and another the same questions")
        compare.add_argument("space", help="id, or the beginning of a digest")
        compare.add_argument("--with", dest="other", help="compare with this space, not with the active one")
        compare.add_argument(
            "--questions",
            type=Path,
            help="one question a line, or TOML with tables [[answerable]] of question and expected",
        )
        compare.add_argument("--sample", type=int, default=50, help="without questions: how many segments to ask for")
        switch = self._action(actions, "switch", "let a space answer searches, in one transaction")
        switch.add_argument("space", help="id, or the beginning of a digest")
        back = self._action(actions, "rollback", "let the space that answered before answer again")
        back.add_argument("name", choices=SpaceName.values)
        for one in (switch, back):
            one.add_argument("--force", action="store_true", help="also to a space that is not complete")
        drop = self._action(actions, "drop", "delete a space with all its vectors")
        drop.add_argument("space", help="id, or the beginning of a digest")

    def _action(self, actions: Any, name: str, what: str) -> argparse.ArgumentParser:
        action: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what)
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout"
        )
        return action

    def outcome(self, **options: Any) -> Outcome:
        if env().database_url is None and not EmbeddedPostgres(env().home_path).answers():
            raise NotRunning(f"no database answers in {env().home_path}; start it with './cloister up'")
        return getattr(self, f"_{options['action']}")(**options)  # type: ignore[no-any-return]

    def _list(self, **_options: Any) -> Outcome:
        return _listed(spaces_summary())

    def _create(self, **_options: Any) -> Outcome:
        return _listed([space_summary(space) for space in spaces_ensure(specs=list(space_specs().values()))])

    def _fill(self, **options: Any) -> Outcome:
        space = space_get(options["space"])
        progress = fill_start(space_id=space.pk, now=timezone.now())
        if not options["background"]:
            progress = _filled(space, progress)
        outcome = _listed([space_summary(space_get(space.pk))])
        if progress.phase == "failed":
            text = f"{outcome.text}\nbatches were given up: {progress.error}; './cloister spaces fill' tries them again"
            return Outcome(data=outcome.data, text=text, exit_code=1)
        return outcome

    def _seal(self, **options: Any) -> Outcome:
        space = space_get(options["space"])
        if fill_progress(space_id=space.pk).phase not in ("filled", "ready"):
            raise Conflict(f"space {space.pk} is not filled; run './cloister spaces fill {space.pk}'")
        space_seal(space_id=space.pk)
        return _listed([space_summary(space_get(space.pk))])

    def _compare(self, **options: Any) -> Outcome:
        new = space_get(options["space"])
        old = space_get(options["other"]) if options["other"] else space_active(new.name)
        if old is None:
            raise NotFound(f"no space '{new.name}' is active; name the other one by --with")
        asked = _questions(options["questions"]) if options["questions"] else questions_sampled(options["sample"])
        try:
            found = spaces_compare(old=old, new=new, questions=asked, embed=_embed)
        except (WorkerUnavailable, WorkerRefused) as error:
            raise Unavailable(str(error)) from error
        return Outcome(
            data={"old_space": old.pk, "new_space": new.pk, **found.as_json()}, text=_compared(old, new, found)
        )

    def _switch(self, **options: Any) -> Outcome:
        before = space_active(space_get(options["space"]).name)
        space = space_switch(reference=options["space"], now=timezone.now(), force=options["force"])
        return _switched(space, before)

    def _rollback(self, **options: Any) -> Outcome:
        before = space_active(options["name"])
        return _switched(space_switch_back(name=options["name"], now=timezone.now(), force=options["force"]), before)

    def _drop(self, **options: Any) -> Outcome:
        space = space_drop(space_id=space_get(options["space"]).pk)
        audit(user=None, action="space.drop", subject=f"space {space.pk}", detail={"digest": space.digest})
        role = role_of(space.digest, space_specs())
        text = f"space {space.pk} ({space}) is dropped"
        if role is not None:
            text += f"; role '{role}' of the profile still embeds into it: the next start makes it anew, empty"
        return Outcome(data={"dropped": space.pk, "digest": space.digest, "role": role}, text=text)


def _filled(space: EmbeddingSpace, progress: FillProgress) -> FillProgress:
    begun_s = changed_s = time.monotonic()
    shown = -1
    while progress.phase == "filling":
        now_s = time.monotonic()
        if progress.vectors != shown:
            shown, changed_s = progress.vectors, now_s
            sys.stderr.write(f"{progress.vectors} of {progress.wanted} vectors, {now_s - begun_s:.0f} s\n")
        elif now_s - changed_s > STALLED_S:
            changed_s = now_s
            sys.stderr.write(f"no vector came for {STALLED_S:.0f} s; './cloister status' tells whether workers run\n")
        time.sleep(POLL_S)
        progress = fill_progress(space_id=space.pk)
    if progress.phase == "filled":
        sys.stderr.write("indexing\n")
        while not space_seal(space_id=space.pk):
            time.sleep(POLL_S)
    return progress


def _listed(summaries: Sequence[SpaceSummary]) -> Outcome:
    rows = [("id", "name", "state", "vectors", "wanted", "size", "role", "recipe", "digest")]
    for one in summaries:
        state = "active" if one.space.active else one.progress.phase
        rows.append(
            (
                str(one.space.pk),
                one.space.name,
                state if not one.space.active or one.progress.phase == "ready" else f"active, {one.progress.phase}",
                str(one.progress.vectors),
                str(one.progress.wanted),
                str(one.space.dimensions),
                one.role or "-",
                one.space.recipe or "-",
                one.space.digest[:12],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return Outcome(data={"spaces": [one.as_json() for one in summaries]}, text="\n".join(lines))


def _switched(space: EmbeddingSpace, before: EmbeddingSpace | None) -> Outcome:
    data = {"active": space.pk, "name": space.name, "digest": space.digest, "before": before.pk if before else None}
    was = f" in place of space {before.pk}" if before is not None and before.pk != space.pk else ""
    return Outcome(
        data=data,
        text=f"space {space.pk} ({space}) answers searches of '{space.name}'{was}; "
        f"'./cloister spaces rollback {space.name}' goes back",
    )


def _compared(old: EmbeddingSpace, new: EmbeddingSpace, found: Comparison) -> str:
    lines = [
        f"{found.questions} questions of space {old.pk} ({old.recipe or old}) and space {new.pk} ({new.recipe or new})",
        f"overlap@10 {found.overlap_at_10}, same first hit {found.same_first}",
    ]
    for space, quality in ((old, found.old), (new, found.new)):
        if quality is not None:
            lines.append(
                f"space {space.pk}: nDCG@10 {quality.ndcg_at_10}, MRR {quality.mrr} ({found.labelled} labelled)"
            )
    return "\n".join(lines)


def _questions(path: Path) -> list[Question]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return [
                Question(text=one["question"], expected=one["expected"]) for one in tomllib.loads(text)["answerable"]
            ]
        if path.suffix == ".json":
            return [Question(text=one["question"], expected=one.get("expected")) for one in json.loads(text)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{path} holds no questions: {type(error).__name__}: {error}") from error
    return [Question(text=line.strip()) for line in text.splitlines() if line.strip()]


def _embed(digest: str, texts: Sequence[str]) -> Vectors:
    return space_embed(digest=digest, texts=texts)
