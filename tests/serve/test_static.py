"""The files of the page, and the headers they are served with."""

from __future__ import annotations

from importlib.resources import files

from page_server import Backend, create

from lingraft.serve.static import POLICY, assets


def test_files_are_served_strictly():
    from fastapi.testclient import TestClient

    with TestClient(create(Backend())) as client:
        for path in ("/", *(f"/static/{name}" for name in assets())):
            answer = client.get(path)
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert client.head(path).status_code == 200
        for name in ("../static.py", "..%2fstatic.py", "%2e%2e/static.py", "nothing.js", "", ".", "index.html%00"):
            assert client.get(f"/static/{name}").status_code == 404
        paths = client.get("/openapi.json").json()["paths"]
        assert "/translate" in paths
        assert not {"/", "/static/{name}"} & paths.keys()


def test_every_file_is_asked_for_and_small():
    page = files("lingraft.serve").joinpath("page")
    sources = {name: page.joinpath(name).read_text("utf-8") for name in assets()}
    for name in sources.keys() - {"index.html"}:
        assert any(f"static/{name}" in text or f'"./{name}"' in text for text in sources.values()), name
    for name, text in sources.items():
        assert len(text.splitlines()) < 250, name
        assert "innerHTML" not in text, name
    assert sum(map(len, sources.values())) < 100_000
