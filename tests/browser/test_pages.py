"""The pages in a real browser: what a user does, from logging in to following a citation into its source."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import COLLECTION, SAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.weights]

QUESTION = "In which storm was the hut of the tide gauge lost?"
NOTE_PROVISIONAL_TEXT = """
window.provisional = [];
new MutationObserver(() => {
  const text = document.querySelector(".provisional")?.textContent;
  if (text && text !== window.provisional.at(-1)) window.provisional.push(text);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
READY_MS = 90_000


def expect_opened_at(page: Page, text: str) -> None:
    """The document's page shows the segment with these words, marked and in view."""
    expect(page).to_have_url(re.compile(r"/d/[0-9a-f-]{36}\?segment=[0-9a-f-]{36}#s-"))
    chosen = page.locator(".chosen")
    expect(chosen).to_have_count(1)
    expect(chosen).to_contain_text(text, use_inner_text=True)
    expect(chosen).to_be_in_viewport()


class TestLoggingIn:
    def test_a_wrong_password_is_refused_with_a_sentence(self, anonymous):
        anonymous.log_in("admin", "not the password")

        expect(anonymous.page.get_by_role("alert")).to_have_text("The name and the password do not match.")
        expect(anonymous.page).to_have_url(f"{anonymous.url}/login")

    def test_the_right_password_leads_to_the_page_that_was_asked_for(self, anonymous, library, admin_password):
        wanted = f"/d/{library['tide-gauge.txt']}"
        anonymous.open(wanted)
        expect(anonymous.page).to_have_url(f"{anonymous.url}/login?next={wanted}")

        anonymous.page.get_by_label("Name").fill("admin")
        anonymous.page.get_by_label("Password").fill(admin_password)
        anonymous.page.get_by_role("button", name="Log in").click()

        expect(anonymous.page.get_by_role("heading", level=1)).to_have_text("tide-gauge.txt")

    def test_logging_out_ends_the_session(self, admin):
        admin.page.get_by_role("button", name="Log out admin").click()
        expect(admin.page.get_by_role("heading", name="Log in")).to_be_visible()

        admin.open("/")

        expect(admin.page).to_have_url(f"{admin.url}/login?next=/")


class TestUploading:
    def test_a_file_in_a_new_collection_is_read_before_the_eyes_of_the_user(self, admin):
        page = admin.page
        page.get_by_label("Name of a new collection").fill("Made by hand")
        page.get_by_role("button", name="Make collection").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Made by hand")
        expect(page.get_by_text("No document yet.")).to_be_visible()

        page.get_by_label("Add files").set_input_files(SAMPLES / "library.html")

        expect(page.locator("#document-list progress")).to_be_visible()
        expect(page.locator("#document-list .state")).to_have_text("ready", timeout=READY_MS)
        expect(page.locator("#upload-note")).to_have_text("1 of 1 received")
        page.get_by_role("link", name="library.html").click()
        expect(page.locator(".segments")).to_contain_text("lends nautical charts for 21 days")

    def test_a_page_that_was_opened_early_fills_itself(self, admin, stack, tmp_path):
        note = tmp_path / "note.txt"
        note.write_text("The owl in the tower sleeps at noon.")
        sent = stack.client.upload(note, collection="Early")

        admin.open(f"/d/{sent['id']}")

        expect(admin.page.locator(".segments")).to_contain_text("The owl in the tower", timeout=READY_MS)

    def test_a_taken_name_is_refused_with_a_sentence(self, admin, library):
        admin.page.get_by_label("Name of a new collection").fill(COLLECTION)
        admin.page.get_by_role("button", name="Make collection").click()

        expect(admin.page.get_by_role("alert")).to_contain_text(COLLECTION)


class TestSearching:
    def test_a_hit_opens_its_document_at_the_passage(self, admin, library):
        page = admin.page
        admin.open_collection(COLLECTION)
        page.get_by_label("Words to search for").fill("how long may charts be borrowed")
        page.get_by_role("button", name="Search").click()

        page.locator("#hits li").first.get_by_role("link", name="library.html").click()

        expect_opened_at(page, "21 days")

    def test_a_picture_finds_itself(self, admin, library):
        page = admin.page
        admin.open_collection(COLLECTION)
        page.get_by_label("by a picture").set_input_files(SAMPLES / "photograph.jpg")
        page.get_by_role("button", name="Search").click()

        first = page.locator("#hits li").first
        expect(first.get_by_role("link")).to_have_text("photograph.jpg")
        preview = first.locator("img")
        expect(preview).to_have_js_property("complete", value=True)
        assert preview.evaluate("(image) => image.naturalWidth") > 100

    def test_an_empty_query_is_answered_with_a_sentence(self, admin, library):
        admin.open_collection(COLLECTION)
        admin.page.get_by_role("button", name="Search").click()

        expect(admin.page.locator("#hits")).to_have_text("Enter words or choose a picture.")


class TestAsking:
    def test_the_answer_streams_and_cites_what_its_link_opens(self, admin, library):
        page = admin.page
        page.context.add_init_script(NOTE_PROVISIONAL_TEXT)
        admin.open_collection(COLLECTION)
        admin.ask(QUESTION)
        admin.answer_wait()

        seen = page.evaluate("window.provisional")
        assert len(seen) > 3
        assert any(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))
        expect(page.locator("#answer-text .mark").first).to_have_text("[1]")
        source = page.locator("#answer-citations li").first
        expect(source.get_by_role("link")).to_have_text(re.compile(r"^tide-gauge\.txt, characters \d+–\d+$"))
        quote = source.locator("q").inner_text()
        page.locator("#answer-text .mark").first.click()
        expect_opened_at(page, quote.strip("“”"))

        page.go_back()
        admin.ask(QUESTION)
        admin.answer_wait()
        source.get_by_role("link").click()
        expect_opened_at(page, quote.strip("“”"))

    def test_what_the_documents_do_not_say_is_refused(self, admin, library):
        admin.open_collection(COLLECTION)
        admin.ask("Which airline flies to Nairobi on Sundays?")
        admin.answer_wait()

        expect(admin.page.locator("#answer-text")).to_contain_text("do not answer this question")
        expect(admin.page.locator("#answer-citations li")).to_have_count(0)
        expect(admin.page.get_by_role("button", name="Ask")).to_be_enabled()

    def test_stop_ends_the_answer(self, admin, library):
        admin.open_collection(COLLECTION)
        admin.ask(QUESTION)
        admin.page.get_by_role("button", name="Stop").click()
        admin.answer_wait()

        expect(admin.page.locator("#answer-text")).to_contain_text("(stopped)")
        expect(admin.page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(admin.page.get_by_role("button", name="Ask")).to_be_enabled()


class TestPlaying:
    def test_a_recording_can_be_moved_to_any_time(self, admin, stack, tone):
        # A tone says nothing that could be searched; what was sent can be heard all the same.
        (document,) = stack.ingest([tone], collection="Sound")
        admin.open(f"/d/{document['id']}")

        reached_s = admin.page.locator("#player").evaluate(
            """(player) => new Promise((resolve) => {
              player.addEventListener("seeked", () => resolve(player.currentTime));
              player.currentTime = 50;
            })"""
        )

        assert reached_s == pytest.approx(50.0, abs=0.1)


class TestStrangers:
    def test_foreign_pages_look_as_if_they_did_not_exist(self, anonymous, stack, library, stranger_login):
        documents = stack.client.request("GET", f"/api/documents/{library['tide-gauge.txt']}")
        foreign = [f"/c/{documents['collection']}", f"/c/{documents['collection']}/documents", f"/d/{documents['id']}"]
        anonymous.log_in(*stranger_login)
        expect(anonymous.page.get_by_text("No collection yet.")).to_be_visible()

        for path in foreign:
            answer = anonymous.open(path)
            assert answer is not None
            assert answer.status == 404
            expect(anonymous.page.get_by_role("heading", level=1)).to_have_text("Not found")
            expect(anonymous.page.locator("main")).not_to_contain_text(COLLECTION)

        assert anonymous.refusals == [("GET", path, 404) for path in foreign]
        anonymous.refusals.clear()


class TestStayingAtHome:
    def test_no_page_asks_anything_of_another_origin(self, admin, stack, library):
        collection = stack.client.request("GET", f"/api/documents/{library['tide-gauge.txt']}")["collection"]

        for path in ("/login", "/", f"/c/{collection}", *(f"/d/{one}" for one in library.values()), "/api/docs"):
            admin.open(path)
            admin.page.wait_for_load_state("networkidle")

        assert admin.origins == {stack.url}

    def test_the_api_is_documented_from_local_files(self, admin):
        admin.open("/api/docs")

        expect(admin.page.locator(".opblock-summary-path", has_text="/api/search")).to_be_visible()
        scripts = admin.page.locator("script").evaluate_all("(all) => all.map((one) => one.getAttribute('src'))")
        assert scripts
        assert all(script.startswith(("/static/drf_spectacular_sidecar/", "/api/docs")) for script in scripts)

    @pytest.mark.parametrize("width_px", [400, 1100])
    def test_nothing_is_wider_than_the_window(self, admin, stack, library, width_px):
        collection = stack.client.request("GET", f"/api/documents/{library['tide-gauge.txt']}")["collection"]
        admin.page.set_viewport_size({"width": width_px, "height": 800})

        for path in ("/", f"/c/{collection}", f"/d/{library['photograph.jpg']}"):
            admin.open(path)
            assert admin.page.evaluate("document.documentElement.scrollWidth") <= width_px

    def test_the_policy_stops_what_a_page_might_try(self, admin):
        admin.page.evaluate(
            """() => new Promise((resolve) => {
              document.addEventListener("securitypolicyviolation", () => resolve());
              document.body.append(Object.assign(new Image(), { src: "http://192.0.2.1/picture.png" }));
            })"""
        )

        # The attempt is written down although it was stopped: a page that tried would fail its test.
        assert admin.origins == {admin.url, "http://192.0.2.1"}
        assert any("img-src" in problem for problem in admin.problems)
        admin.origins.remove("http://192.0.2.1")
        admin.problems.clear()
