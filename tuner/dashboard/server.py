"""optuna-dashboard on loopback, for looking only."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tuner.dashboard.trial_files import TrialFiles
from tuner.dashboard.view import StudyView
from tuner.errors import HostError, ToolMissing
from tuner.storage import StudyStore

HOST: Final = "127.0.0.1"

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class DashboardServer:
    """Serves one study until it is told to stop. A context manager.

    `port` 0 takes a free one. Raises HostError when the port is taken, ToolMissing without optuna-dashboard.
    """

    def __init__(self, store: StudyStore, files: TrialFiles, port: int) -> None:
        self._page = f"dashboard/studies/{store.study._study_id}"
        application = _looking_only(_dashboard(StudyView(store, files), files))
        try:
            self._server = make_server(
                HOST, port, application, server_class=_ThreadingServer, handler_class=_Quiet
            )
        except (OSError, OverflowError) as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "it is taken: choose another with --port, or 0 for any" if taken else str(error)
            raise HostError(f"the dashboard cannot listen on port {port}: {why}") from error

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._server.server_port}/"

    @property
    def page(self) -> str:
        """Where a browser finds the study."""
        return f"{self.url}{self._page}"

    def serve(self) -> None:
        """Answer requests until `stop`, or an exception such as KeyboardInterrupt."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._server.shutdown()

    def __enter__(self) -> DashboardServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: a browser asks every few seconds."""


def _dashboard(view: StudyView, files: TrialFiles) -> _Application:
    try:
        import optuna_dashboard
    except ImportError as error:
        raise ToolMissing(
            "optuna-dashboard is not installed: pip install 'llama-tuner[dashboard]'"
        ) from error
    application: _Application = optuna_dashboard.wsgi(view, artifact_store=files)
    return application


def _looking_only(application: _Application) -> _Application:
    """Refuse what would change a study, and pages of other sites that ask under a name of their own.

    A browser lets any site resolve its name to 127.0.0.1; only the Host header tells.
    """

    def guarded(request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        host = str(request.get("HTTP_HOST", "")).rpartition(":")[0]
        if host not in (HOST, "localhost"):
            return _answer(begin, "403 Forbidden", f"ask for {HOST}, this is {host or 'nothing'}")
        if request.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _answer(
                begin, "405 Method Not Allowed", "the dashboard shows a study and does not change it"
            )
        return application(request, begin)

    return guarded


def _answer(begin: Callable[..., Any], status: str, reason: str) -> list[bytes]:
    begin(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{reason}\n".encode()]
