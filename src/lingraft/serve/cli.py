"""What the verb serve does."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import torch

from lingraft.atoms import ConfigError
from lingraft.atoms.config import override, read
from lingraft.library.console import open_base
from lingraft.library.store import Library
from lingraft.serve import logs
from lingraft.serve.allocator import give_back
from lingraft.serve.detect import Detector
from lingraft.serve.engine import Engine
from lingraft.serve.settings import ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve(
    words: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    host: str,
    port: int,
    rows: int,
    waiting: int,
    patience: float | None,
    threads: int | None,
    memory: int | None,
    grace: float,
    keys: Path | None,
    admin_keys: Path | None,
    config: Path | None,
) -> None:
    """Do what `lingraft serve` promises."""
    settings = _settings(config, words, keys, admin_keys)
    for each in listen(host, port):  # a wrong address is told before the base is read
        each.close()
    give_back()
    use_threads(threads)
    library = Library.open(path, open_base(base_id or Library.open(path).card.base.id, device, dtype), budget=memory)
    engine = Engine(library, rows=rows, waiting=waiting, patience=patience)
    app = _app(engine, settings)
    if settings.keys is None and not _loopback(host):
        click.echo(f"warning: everyone who reaches {host}:{port} may translate, since there are no --keys.", err=True)
    asyncio.run(run(engine, app, host, port, grace))


def use_threads(given: int | None) -> None:
    """Set how many threads compute, before the first of them starts.

    One core is left to what reads requests and writes answers: where it takes one from PyTorch's threads, the others
    wait for that one in every operation, and two threads on two cores answer less than one does.

    Args:
        given: How many; None: as the environment says, else one less than there are cores.
    """
    if given is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(given or max(1, torch.get_num_threads() - 1))


def listen(host: str, port: int) -> list[socket.socket]:
    """Open a port at each address that a host stands for.

    Args:
        host: An address or a name.
        port: The port; 0: a free one.

    Returns:
        Sockets that listen, all at the same port.

    Raises:
        ConfigError: The port is taken or may not be opened, or the host is not this machine.
    """
    found: list[socket.socket] = []
    failed: list[OSError] = []
    try:
        kinds = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _no_place(host, port, error) from None
    for family, address in dict.fromkeys((kind[0], kind[4]) for kind in kinds):
        try:
            found.append(socket.create_server((address[0], port, *address[2:]), family=family))
        except OSError as error:
            failed.append(error)
        else:
            port = port or found[0].getsockname()[1]
    # "localhost" stands for an address of IPv6 even where that is switched off.
    severe = [error for error in failed if not found or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)]
    if severe:
        for each in found:
            each.close()
        raise _no_place(host, port, severe[0])
    return found


async def run(engine: Engine, app: FastAPI, host: str, port: int, grace: float) -> None:
    """Serve until the process is told to stop, and answer what is there then.

    Args:
        engine: The engine; it is started and stopped here.
        app: The application.
        host: Address to listen at.
        port: Its port; 0: a free one.
        grace: Seconds for what is there at the end.
    """
    import uvicorn

    listeners = listen(host, port)
    # uvicorn raises the signal again when it is done; the engine must still be stopped then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=logs.config(),
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace)),
        )
    )
    engine.start()
    state = engine.state()
    port = listeners[0].getsockname()[1]
    logs.write("serving", languages=len(state.languages), offered=len(state.offered), host=host, port=port)
    if state.withdrawn:
        logs.write("withdrawn", level=logging.WARNING, languages=", ".join(state.withdrawn))
    # What is there by now stays: no collection needs to go through it while the service runs.
    gc.collect()
    gc.freeze()
    try:
        await server.serve(listeners)
    finally:
        await engine.stop(2.0)  # who asked over HTTP has been answered
        logs.write("stopped", answered=engine.state().answered)
        gc.unfreeze()  # what is still frozen at the end of the process is told as leaked by libraries that count


def _settings(config: Path | None, words: Sequence[str], keys: Path | None, admin_keys: Path | None) -> ServeSettings:
    """Return the settings of a file, changed by the command line."""
    settings = override(read(ServeSettings, config) if config else ServeSettings(), words)
    given = {name: path for name, path in (("keys", keys), ("admin_keys", admin_keys)) if path is not None}
    return settings.model_copy(update=given)


def _app(engine: Engine, settings: ServeSettings) -> FastAPI:
    """Return the application; a missing extra is said before a port is opened."""
    try:
        import uvicorn  # noqa: F401

        from lingraft.serve.app import create_app
    except ImportError as error:
        raise ConfigError(
            f"`lingraft serve` must have its extra, but {error.name} is missing. Run: pip install 'lingraft[serve]'."
        ) from None
    return create_app(engine, settings, Detector(engine.library))


def _no_place(host: str, port: int, error: OSError) -> ConfigError:
    """Return the error for a place that cannot be listened at."""
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"`--port` must be free, but {port} is taken by another program. Give another one, or 0 for any that is "
            "free, or end that program."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"`--port` must be one that you may open, but {port} is not. Give one from 1024 on, e.g. 5000."
        )
    return ConfigError(f"`--host` must be an address of this machine, but {host!r:.80} is none. Give 0.0.0.0 for all.")


def _loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
