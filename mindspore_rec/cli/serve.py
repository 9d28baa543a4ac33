"""``python -m mindspore_rec serve``: answer requests with the newest version of a model that is being trained.

python -m mindspore_rec serve published --port 8501
python -m mindspore_rec serve published --host 0.0.0.0 --token_file token
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Optional, Sequence

from mindspore_rec.cli.options import load
from mindspore_rec.config import ConfigError
from mindspore_rec.logs import quiet_mindspore, setup_logging
from mindspore_rec.monitor.page import page_routes
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_gate import read_token
from mindspore_rec.serving.http_server import listen, run_server, url_of
from mindspore_rec.serving.server import create_app

DESCRIPTION = "serve DIR --KEY VALUE ...: answer HTTP requests with the newest version of a folder of publications."

logger = logging.getLogger(__name__)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status.

    Raises:
        UserError: a key has a value it must not have, the port is taken, or the folder cannot be served.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    folder = given.pop(0) if given and not given[0].startswith("-") else None
    config = load(ServeConfig, DESCRIPTION, given)
    if folder is None:
        raise ConfigError("serve: expected the folder of publications first: python -m mindspore_rec serve DIR")
    setup_logging(logging.INFO)
    read_token(config.token_file)
    listener = listen(config)  # a port that is taken is said before anything is loaded
    quiet_mindspore()
    from mindspore_rec.serving.predictor import Predictor

    def ready(version: int) -> None:
        sys.stdout.write(f"serving {config.name} version {version} on {url_of(listener)}\n")
        sys.stdout.flush()

    predictor = Predictor(
        Path(folder),
        follow=config.follow,
        poll_seconds=config.poll_seconds,
        dictionary=config.dictionary or "",
        engine=config.engine,
        threads=config.threads,
    )
    if predictor.status().version is None:
        logger.info("%s: nothing was published yet; waiting", folder)
    try:
        run_server(create_app(predictor, config, page_routes()), listener, ready)
    finally:
        predictor.close()
    return 0
