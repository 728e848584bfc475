from __future__ import annotations

import hmac
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import fake
import pytest
from click.testing import CliRunner
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from lingraft.atoms import ConfigError, LibraryError
from lingraft.atoms.durable import DRAFT
from lingraft.serve import cli_keys
from lingraft.serve import keys as keys_module
from lingraft.serve.gate import PUBLIC
from lingraft.serve.keys import Keys, make_key
from lingraft.verbs.serve import serve_key


@pytest.fixture
def files(tmp_path):
    """Two files of keys, and a key of each."""
    made = {}
    for kind in ("keys", "admin"):
        done = CliRunner().invoke(serve_key, [f"some-{kind}", "--keys", str(tmp_path / kind)])
        assert done.exit_code == 0, done.output
        made[kind] = done.output.strip()
    return tmp_path, made


def test_a_file_holds_no_key_and_only_its_owner_reads_it(files):
    folder, made = files
    text = (folder / "keys").read_text()
    assert made["keys"].partition(".")[2] not in text
    assert made["keys"] not in text
    assert stat.S_IMODE((folder / "keys").stat().st_mode) == 0o600
    assert Keys(folder / "keys").who(made["keys"]) == "some-keys"


@pytest.mark.parametrize(
    "wrong", [None, "", ".", "some-keys", "some-keys.", ".x", "x" * 10**6, "some-keys.é\ud800", "nobody.x"]
)
def test_what_is_no_key_opens_nothing(files, wrong):
    folder, made = files
    keys = Keys(folder / "keys")
    assert keys.who(wrong) is None
    assert keys.who(made["admin"]) is None
    assert keys.who(made["keys"][:-1]) is None
    assert keys.who(made["keys"] + "x") is None


def test_an_empty_name_with_the_hash_of_nobody_opens_nothing(tmp_path, monkeypatch):
    """Even if someone finds a secret of the hash that unknown names are compared with."""
    (tmp_path / "keys").write_text("")
    monkeypatch.setattr(keys_module, "_hash", lambda secret, salt: "0" * 64)
    assert Keys(tmp_path / "keys").who(".x") is None


def test_every_key_is_compared_in_constant_time(files, monkeypatch):
    folder, made = files
    seen = []
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda a, b: seen.append((a, b)) or hmac.new is None)
    keys = Keys(folder / "keys")
    for key in (made["keys"], "nobody.x", None):
        keys.who(key)
    assert [len(a) == len(b) == 64 for a, b in seen] == [True] * 3


def test_a_line_that_is_deleted_is_a_key_that_no_longer_opens(files):
    folder, made = files
    keys = Keys(folder / "keys")
    key, stored = make_key("other")
    (folder / "keys").write_text(f"# ours\n\n{stored.line}\n")
    assert keys.who(made["keys"]) is None
    assert keys.who(key) == "other"
    (folder / "keys").write_text("what is this")
    assert keys.who(key) is None, "nobody vouches for it"
    os.unlink(folder / "keys")
    assert keys.who(key) is None


def add_key(path, name: str = "more"):
    done = CliRunner().invoke(serve_key, [name, "--keys", str(path)])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_key_that_is_added_leaves_the_mode_of_its_file(files, mode):
    folder, made = files
    (folder / "keys").chmod(mode)
    done = add_key(folder / "keys")
    assert done.stderr == ""
    assert stat.S_IMODE((folder / "keys").stat().st_mode) == mode
    keys = Keys(folder / "keys")
    assert [keys.who(key) for key in (made["keys"], done.stdout.strip())] == ["some-keys", "more"]
    assert sorted(each.name for each in folder.iterdir() if not each.name.startswith(".")) == ["admin", "keys"]
    assert stat.S_IMODE((folder / ".keys.lock").stat().st_mode) == mode, "who may write the one may hold the other"
    assert not list(folder.glob(f"{DRAFT}*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_key_that_is_added_leaves_owner_and_group_of_its_file(files):
    path = files[0] / "keys"
    path.chmod(0o640)
    os.chown(path, 1234, 2345)
    add_key(path)
    for found in (path.stat(), path.with_name(".keys.lock").stat()):
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 2345, 0o640)


@pytest.mark.parametrize(("owner", "group", "mode"), [(1, 0, 0o640), (0, 1, 0o600), (1, 1, 0o600)])
def test_an_owner_that_cannot_be_kept_is_told_and_no_other_group_reads(files, monkeypatch, owner, group, mode):
    path = files[0] / "keys"
    path.chmod(0o640)
    before, asked = path.stat(), []

    def chown(place, *ids):
        asked.append(place.name.startswith(DRAFT))
        raise PermissionError

    looks = cli_keys.Path.stat
    fields = list(before)
    fields[stat.ST_UID] += owner
    fields[stat.ST_GID] += group
    other = os.stat_result(fields)
    monkeypatch.setattr(cli_keys.Path, "stat", lambda self, **how: other if self == path else looks(self, **how))
    monkeypatch.setattr(cli_keys.os, "chown", chown)
    done = add_key(path)
    monkeypatch.undo()
    assert "another owner or group" in done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert asked.count(True) == owner + group
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_no_key_that_was_printed_is_lost_where_several_are_made_at_once(tmp_path, monkeypatch, capsys):
    write = cli_keys.new_file

    def slowly(*args, **more):
        time.sleep(0.01)  # long enough for all others to have read the file
        write(*args, **more)

    monkeypatch.setattr(cli_keys, "new_file", slowly)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cli_keys.serve_key(f"k{number}", tmp_path / "keys"), range(8)))
    keys, made = Keys(tmp_path / "keys"), capsys.readouterr().out.split()
    assert sorted(keys.who(key) or "lost" for key in made) == [f"k{number}" for number in range(8)]


def test_a_name_that_two_ask_for_is_given_to_one(tmp_path, monkeypatch):
    """The names that are there are read by whoever holds the file."""
    path = tmp_path / "keys"
    with cli_keys._writing(path):
        monkeypatch.setattr(cli_keys, "_PATIENCE", 0.05)
        done = CliRunner().invoke(serve_key, ["more", "--keys", str(path)])
        assert isinstance(done.exception, ConfigError)
        assert "must be free for a new key" in str(done.exception)
        assert done.stdout == ""
        path.write_text(make_key("more")[1].line)
    done = CliRunner().invoke(serve_key, ["more", "--keys", str(path)])
    assert "more is there already" in str(done.exception)


def test_a_folder_that_is_missing_is_told_and_not_made(tmp_path):
    done = CliRunner().invoke(serve_key, ["more", "--keys", str(tmp_path / "none" / "keys")])
    assert isinstance(done.exception, LibraryError)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_told_once_and_read_again_when_it_can(files, monkeypatch, caplog):
    folder, made = files
    keys, reads = Keys(folder / "keys"), keys_module.read_keys

    def refused(path):
        raise ConfigError(f"`{path}` must be a file of keys, but cannot be read: no permission.")

    monkeypatch.setattr(keys_module, "read_keys", refused)
    (folder / "keys").chmod(0o000)  # nothing else of it changes
    assert [keys.who(made["keys"]) for _ in range(3)] == [None] * 3
    (logged,) = [record for record in caplog.records if record.getMessage() == "keys not read"]
    assert (logged.levelname, str(folder / "keys") in logged.fields["detail"]) == ("ERROR", True)
    monkeypatch.setattr(keys_module, "read_keys", reads)
    (folder / "keys").chmod(0o600)
    assert keys.who(made["keys"]) == "some-keys"
    (folder / "keys").unlink()
    assert [keys.who(made["keys"]) for _ in range(3)] == [None] * 3
    assert len([record for record in caplog.records if record.getMessage() == "keys not read"]) == 2
    assert made["keys"] not in caplog.text


def test_a_file_is_read_strictly(tmp_path):
    _, stored = make_key("a")
    (tmp_path / "keys").write_text(f"{stored.line}\nsecret\n{stored.line}\n")
    with pytest.raises(ConfigError, match=r"line 2.*\n.*line 3"):
        Keys(tmp_path / "keys")
    with pytest.raises(ConfigError, match="cannot be read"):
        fake.app(keys=tmp_path / "none")


def test_the_verb_refuses_bad_names_and_names_that_are_there(files):
    folder, _ = files
    for name in ("some-keys", "A", "a.b", "", "a b"):
        done = CliRunner().invoke(serve_key, [name, "--keys", str(folder / "keys")])
        assert isinstance(done.exception, ConfigError)


def _carry(how: str, key: str) -> dict:
    """A key in each place where clients put it."""
    headers = {"bearer": {"authorization": f"Bearer {key}"}, "deepl": {"authorization": f"DeepL-Auth-Key {key}"},
               "x": {"x-api-key": key}}  # fmt: skip
    return {"headers": headers[how]} if how in headers else {"params": {"api_key": key}} if how == "query" else {}


def test_nobody_gets_in(files):
    """Every route × method × key, and every way to carry one: allowed or refused as it must be, no cell left out."""
    folder, made = files
    app = fake.app(keys=folder / "keys", admin_keys=folder / "admin", rate=None)
    client = TestClient(app)
    paths = [(path, method) for path, methods in app.openapi()["paths"].items() for method in methods]
    assert len(paths) >= 18
    paths += [("/", "get"), ("/static/app.js", "get"), ("/nothing", "get"), ("/nothing", "post"), ("/admin", "get"),
              ("/admin/nothing", "post"), ("/translate/", "post"), ("/static/%2e%2e/admin/training", "get"),
              ("/languages", "post"), ("/openapi.json", "get"), ("//admin/training", "get")]  # fmt: skip
    cells = 0
    for path, method in paths:
        place = path.replace("{code}", "deu_Latn").replace("{model}", "de-fr")
        admin = path == "/admin" or path.startswith("/admin/")
        public = method == "get" and (path in PUBLIC or path.startswith("/static/"))
        for kind, key in (("none", ""), ("wrong", "some-keys.wrong"), *made.items()):
            for how in ("bearer", "deepl", "x", "query", "body"):
                carried = _carry(how, key) if key else {}
                if method == "post":
                    carried["json"] = {"q": "a", "api_key": key} if how == "body" else {"q": "a"}
                elif how == "body":
                    continue
                status = client.request(method, place, **carried).status_code
                opens = public or kind == ("admin" if admin else "keys")
                if admin and how in ("query", "body"):
                    opens = False  # addresses are kept in logs and histories, bodies in caches
                assert (status in (401, 403)) == (not opens), (path, method, kind, how, status)
                cells += 1
    assert cells > 400


def test_admin_verbs_are_off_unless_there_is_a_file(files):
    folder, made = files
    client = TestClient(fake.app(keys=folder / "keys"))
    for key in made.values():
        answer = client.post("/admin/languages/deu_Latn", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 404
    open_to_all = TestClient(fake.app())
    assert open_to_all.post("/admin/languages/deu_Latn").status_code == 404


def test_a_limit_counts_for_each_key(files, tmp_path):
    folder, made = files
    key, stored = make_key("second")
    with (folder / "keys").open("a") as file:
        file.write(stored.line + "\n")
    client = TestClient(fake.app(keys=folder / "keys", rate=1.0, burst=1))
    ask = lambda key: client.get("/v2/usage", headers={"authorization": f"DeepL-Auth-Key {key}"}).status_code
    assert [ask(made["keys"]), ask(made["keys"]), ask(key), ask("no")] == [200, 429, 200, 403]


def test_every_route_is_in_the_description():
    """So that the matrix above knows it."""
    app = fake.app()
    described = set(app.openapi()["paths"])
    assert {route.path for route in app.routes if isinstance(route, APIRoute)} <= described
