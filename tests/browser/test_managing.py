"""Managing in a real browser: cancelling, retrying and erasing documents, members, renaming and erasing collections."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from core.answers.stream import stop_reason
from core.host.process import wait_until
from core.host.supervision import Supervisor
from tests.browser.conftest import COLLECTION, SAMPLES, STRANGER

pytestmark = [pytest.mark.browser, pytest.mark.weights]

READY_MS = 90_000


def collection_make(page: Page, name: str) -> None:
    page.get_by_label("Name of a new collection").fill(name)
    page.get_by_role("button", name="Make collection").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


class TestDocuments:
    def test_reading_is_cancelled_begun_again_and_what_was_read_erased(self, admin):
        page = admin.page
        collection_make(page, "Minutes")
        page.get_by_label("Add files").set_input_files(SAMPLES / "meeting.mp3")

        page.get_by_role("button", name="Cancel meeting.mp3").click()
        expect(page.locator("#document-list .state")).to_contain_text("cancelled by admin")

        page.get_by_role("button", name="Retry meeting.mp3").click()
        expect(page.locator("#document-list progress")).to_be_visible()

        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Erase meeting.mp3").click()
        expect(page.get_by_text("No document yet.")).to_be_visible()

    def test_erasing_asks_first(self, admin):
        page = admin.page
        collection_make(page, "Kept")
        page.get_by_label("Add files").set_input_files(SAMPLES / "library.html")
        expect(page.locator("#document-list .state")).to_have_text("ready", timeout=READY_MS)
        asked = []

        def refuse(dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        page.once("dialog", refuse)
        page.get_by_role("button", name="Erase library.html").click()

        expect(page.get_by_role("link", name="library.html")).to_be_visible()
        assert asked == ["Erase “library.html” with everything read from it?"]


class TestMembers:
    def test_who_gets_a_role_sees_the_collection_until_it_is_taken_away(self, admin, anonymous, stranger_login):
        page = admin.page
        collection_make(page, "Shared")
        page.get_by_role("link", name="Members, name, erasing").click()
        page.get_by_label("Name of the member").fill(STRANGER[0])
        page.get_by_label("Role", exact=True).select_option("viewer")
        page.get_by_role("button", name="Give role").click()
        expect(page.get_by_role("cell", name=STRANGER[0], exact=True)).to_be_visible()

        anonymous.log_in(*stranger_login)
        anonymous.page.get_by_role("link", name="Shared").click()
        expect(anonymous.page.get_by_role("heading", level=1)).to_have_text("Shared")
        expect(anonymous.page.get_by_label("Add files")).to_have_count(0)

        page.get_by_role("button", name=f"Take the role of {STRANGER[0]} away").click()
        expect(page.get_by_role("cell", name=STRANGER[0], exact=True)).to_have_count(0)
        anonymous.open("/")
        expect(anonymous.page.get_by_text("No collection yet.")).to_be_visible()


class TestCollections:
    def test_one_is_renamed_and_erased(self, admin):
        page = admin.page
        collection_make(page, "Drafts")
        page.get_by_role("link", name="Members, name, erasing").click()

        page.get_by_label("Name of the collection", exact=True).fill("Letters")
        page.get_by_role("button", name="Rename").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Members of Letters")

        page.get_by_label("Name of the collection to erase").fill("Letters")
        page.get_by_role("button", name="Erase everything").click()

        expect(page.get_by_role("alert")).to_contain_text("'Letters' is erased")
        expect(page.get_by_role("link", name="Letters")).to_have_count(0)


@pytest.fixture
def waiting_worker(stack) -> Iterator[None]:
    """Whatever is asked meanwhile waits: an answer cannot be faster than its reader."""
    pid = Supervisor(stack.home).program_state("worker-interactive").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


class TestLeaving:
    def test_leaving_the_page_cancels_its_answer(self, admin, library, waiting_worker):
        page = admin.page
        admin.open_collection(COLLECTION)
        with page.expect_response(lambda response: response.url.endswith("/ask")) as asked:
            admin.ask("In which storm was the hut of the tide gauge lost?")
        answer_id = asked.value.json()["id"]
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        assert stop_reason(answer_id) is None

        admin.open("/")

        wait_until(lambda: stop_reason(answer_id) == "cancelled", timeout_s=5, what="the cancel of the answer")
