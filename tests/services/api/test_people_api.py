"""Collections, members, groups, users, tokens and the audit log over REST."""

from __future__ import annotations

import httpx
import pytest

from core.access.models import Collection
from core.jobs.service import PartUpload, document_submit
from core.remote import worker_heartbeat_write

pytestmark = pytest.mark.services


@pytest.fixture
def admin(caller):
    made = caller("admin")
    made.user.is_staff = True
    made.user.save()
    return made


def listed(who) -> list[str]:
    return [one["name"] for one in who.http.get("/api/collections").json()["collections"]]


class TestCollections:
    def test_an_owner_renames_it(self, ann):
        renamed = ann.http.patch(f"/api/collections/{ann.collection.pk}", json={"name": "papers"})

        assert renamed.json()["name"] == "papers"
        assert listed(ann) == ["papers"]

    def test_a_taken_name_is_refused(self, ann):
        ann.http.post("/api/collections", json={"name": "papers"})

        assert ann.http.patch(f"/api/collections/{ann.collection.pk}", json={"name": "papers"}).status_code == 409

    def test_erasing_it_takes_everything_in_it(self, ann):
        document, _ = document_submit(
            user=ann.user, collection=ann.collection, parts=[PartUpload(name="a.txt", content=b"words")]
        )

        receipt = ann.http.delete(f"/api/collections/{ann.collection.pk}")

        assert receipt.status_code == 200
        assert [one["sha256"] for one in receipt.json()["documents"]] == [document.sha256]
        assert receipt.json()["documents"][0]["blobs_removed"] == [document.sha256]
        assert receipt.json()["rows"]["access_collection"] == 1
        assert listed(ann) == []
        assert not Collection.objects.exists()

    @pytest.mark.parametrize(("role", "status"), [("editor", 403), (None, 404)])
    def test_others_may_not_rename_or_erase_it(self, ann, ben, role, status):
        path = f"/api/collections/{ann.collection.pk}"
        if role:
            ann.http.post(f"{path}/members", json={"user": "ben", "role": role})

        assert ben.http.patch(path, json={"name": "mine"}).status_code == status
        assert ben.http.delete(path).status_code == status
        assert listed(ann) == ["of ann"]


class TestMembers:
    def test_owners_see_who_has_which_role(self, ann, ben):
        members = f"/api/collections/{ann.collection.pk}/members"
        ann.http.post(members, json={"user": "ben", "role": "viewer"})

        told = ann.http.get(members).json()["members"]

        assert told == [
            {"user": "ann", "group": None, "role": "owner"},
            {"user": "ben", "group": None, "role": "viewer"},
        ]
        assert ben.http.get(members).status_code == 403

    def test_the_role_of_a_group_holds_while_one_is_in_it(self, ann, ben, admin):
        group = admin.http.post("/api/groups", json={"name": "harbour"}).json()
        ann.http.post(f"/api/collections/{ann.collection.pk}/members", json={"group": "harbour", "role": "viewer"})
        assert "of ann" not in listed(ben)

        admin.http.put(f"/api/groups/{group['id']}", json={"users": ["ben"]})
        assert "of ann" in listed(ben)
        assert ben.http.get("/api/groups").json()["groups"] == [
            {"id": group["id"], "name": "harbour", "users": ["ben"]}
        ]

        admin.http.delete(f"/api/groups/{group['id']}")
        assert "of ann" not in listed(ben)

    def test_the_last_owner_stays(self, ann):
        refused = ann.http.post(f"/api/collections/{ann.collection.pk}/members", json={"user": "ann", "role": "viewer"})

        assert refused.status_code == 409


class TestAdministration:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/api/groups", {"name": "harbour"}),
            ("PUT", "/api/groups/1", {"users": []}),
            ("DELETE", "/api/groups/1", None),
            ("GET", "/api/users", None),
            ("POST", "/api/users", {"username": "eve"}),
            ("PATCH", "/api/users/1", {"active": False}),
            ("GET", "/api/audit", None),
        ],
    )
    def test_it_is_for_administrators(self, ann, method, path, body):
        assert ann.http.request(method, path, json=body).status_code == 403

    def test_a_user_who_is_shut_out_is_refused_at_once(self, ann, admin):
        assert ann.http.get("/api/collections").status_code == 200

        admin.http.patch(f"/api/users/{ann.user.pk}", json={"active": False})

        assert ann.http.get("/api/collections").status_code == 401

    def test_a_weak_password_is_refused(self, admin):
        refused = admin.http.post("/api/users", json={"username": "eve", "password": "password"})

        assert refused.status_code == 400
        assert "password" in refused.json()["error"]["message"]


class TestTokens:
    def test_one_that_was_made_works_until_it_is_revoked(self, ann, web):
        made = ann.http.post("/api/tokens", json={"days": 1})
        assert made.status_code == 201
        own = {"Authorization": f"Bearer {made.json()['token']}"}
        assert httpx.get(f"{web.url}/api/collections", headers=own).status_code == 200

        assert ann.http.delete(f"/api/tokens/{made.json()['key']}").status_code == 204

        assert httpx.get(f"{web.url}/api/collections", headers=own).status_code == 401

    def test_the_list_shows_no_token(self, ann):
        made = ann.http.post("/api/tokens", json={}).json()

        told = ann.http.get("/api/tokens")

        assert made["key"] in [one["key"] for one in told.json()["tokens"]]
        assert made["token"] not in told.text

    def test_a_foreign_token_cannot_be_revoked(self, ann, ben):
        assert ben.http.delete(f"/api/tokens/{ann.token[:15]}").status_code == 404
        assert ann.http.get("/api/collections").status_code == 200


class TestAudit:
    def test_it_names_who_did_what(self, ann, admin):
        ann.http.patch(f"/api/collections/{ann.collection.pk}", json={"name": "papers"})

        of_all = admin.http.get("/api/audit", params={"action": "collection_rename"}).json()
        of_one = ann.http.get("/api/audit", params={"collection": "papers"}).json()

        entry = of_all["entries"][0]
        assert (entry["user"], entry["subject"], entry["detail"]) == ("ann", str(ann.collection.pk), {"name": "papers"})
        assert of_one["entries"][0] == entry

    def test_a_viewer_does_not_read_it(self, ann, ben):
        ann.http.post(f"/api/collections/{ann.collection.pk}/members", json={"user": "ben", "role": "viewer"})

        assert ben.http.get("/api/audit", params={"collection": str(ann.collection.pk)}).status_code == 403


class TestWorkers:
    def test_those_that_live_are_listed_to_whom_is_logged_in(self, ann, web):
        assert ann.http.get("/api/workers").json() == {"workers": []}
        record = {"slot": "host/interactive", "engines": [{"role": "text", "resident_mib": 310}]}

        worker_heartbeat_write(record)

        assert ann.http.get("/api/workers").json() == {"workers": [record]}
        assert httpx.get(f"{web.url}/api/workers").status_code == 401
