"""Describe an example by its own module, so that what a page says of it is never stale."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from flask import current_app

from ..highlight import JINJA, PYTHON, highlight

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    module: ModuleType

    @property
    def name(self):
        return self.module.__name__.rpartition(".")[2]

    @property
    def title(self):
        return self.name.replace("_", " ").capitalize()

    @property
    def sentence(self):
        return self.paragraphs[0]

    @property
    def paragraphs(self):
        return inspect.getdoc(self.module).replace("`", "").split("\n\n")

    @property
    def sources(self):
        """The path and the coloured text of the module, then of its templates."""
        path = Path(inspect.getsourcefile(self.module))
        yield path.relative_to(ROOT), highlight(inspect.getsource(self.module), PYTHON)
        templates = Path(current_app.root_path, current_app.template_folder).resolve()
        for path in sorted(templates.glob(f"examples/{self.name}*.html")):
            yield path.relative_to(ROOT), highlight(path.read_text(), JINJA)
