"""The verbs that serve a library over HTTP."""

from __future__ import annotations

import re
from typing import Any

import click

from lingraft.verbs.options import A_PATH, base_options, does, library_option

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Size(click.ParamType):
    """A number of bytes, e.g. 500M, 2GB or 1.5GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes; refuse what is none."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(iB|B)?", str(value).strip(), re.IGNORECASE)
        if match is None:
            self.fail(f"must be a number of bytes, e.g. 500M or 2GiB, but is {value!r:.40}.", param, ctx)
        unit = match[2].upper()
        factor = 1024 ** " KMGT".index(unit or " ") if (match[3] or "").lower() == "ib" else _UNITS[unit]
        return int(float(match[1]) * factor)


@click.command()
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@library_option
@base_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0: everywhere.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option("--rows", type=click.IntRange(1), default=32, show_default=True, help="Sentences translated at once.")
@click.option("--waiting", type=click.IntRange(1), default=512, show_default=True, help="Sentences that may wait.")
@click.option(
    "--patience",
    type=float,
    default=None,
    help="Seconds to wait at most; who must longer is told.  [default: as long as one full batch and a quarter take]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=None,
    help="Threads of the model on a CPU.  [default: OMP_NUM_THREADS, or one less than there are cores]",
)
@click.option("--memory", type=Size(), default=None, help="For adapters in memory, e.g. 2GiB.  [default: no bound]")
@click.option(
    "--grace", type=float, default=25.0, show_default=True, help="Seconds to answer what is there at the end."
)
@click.option("--keys", type=A_PATH, default=None, help="Clients' keys, from `lingraft serve-key`.")
@click.option("--admin-keys", type=A_PATH, default=None, help="Keys for the admin verbs.")
@click.option("--config", type=A_PATH, default=None, help="YAML file of limits and other settings.")
@does("lingraft.serve.cli:serve")
def serve() -> None:
    """Translate for others: LibreTranslate's, DeepL's and OpenAI's HTTP interfaces, and a web page.

    Limits are on by default and can be set like characters=5000 or rate=600. Without --keys everyone who reaches the
    port may translate; without --admin-keys nobody can change which languages are served. SIGTERM ends the service
    when what is there is answered.
    """


@click.command()
@click.argument("name")
@click.option("--keys", "path", type=A_PATH, required=True, help="File of keys; it is made if missing.")
@does("lingraft.serve.cli_keys:serve_key")
def serve_key() -> None:
    """Make a key for a client of `lingraft serve`, keep its hash in a file, and print it once."""
