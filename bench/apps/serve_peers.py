"""What others serve the same files with; each runs in an environment of its own."""

import os
from pathlib import Path
from typing import Annotated, Any

FOLDER = Path(os.environ["BENCH_FOLDER"])


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Route

    def serve(request: Any) -> Any:
        name = request.path_params["name"]
        return FileResponse(FOLDER / name, filename=name)

    return Starlette(routes=[Route("/{name}", serve)])


def lilya() -> Any:
    from lilya.apps import Lilya
    from lilya.contrib.responses.files import send_file
    from lilya.routing import Path as Route

    async def serve(name: str) -> Any:
        return send_file(FOLDER / name, as_attachment=True, attachment_filename=name)

    return Lilya(routes=[Route("/{name}", serve)])


def func_to_web() -> Any:
    from func_to_web import Download, app_of
    from func_to_web.web import returned_files

    def one() -> Annotated[Path, Download("large.bin")]:
        return FOLDER / "large.bin"

    app = app_of(one, returns_dir=FOLDER / "returns")
    references = {path.name: returned_files.store(path, path.name) for path in FOLDER.glob("*.bin")}
    (FOLDER / "references").write_text(repr(references))
    return app
