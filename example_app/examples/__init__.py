"""List the examples, in the order in which they are read."""

from . import (
    async_generator,
    attributes,
    big_file,
    bootstrap,
    cached_file,
    callback,
    cancel,
    documented_way,
    failure,
    file_contents,
    form,
    library_callback,
    many_at_once,
    own_templates,
    progress,
    several_files,
    short_way,
    upload,
    visitor,
)
from .blueprint import pages
from .catalogue import Example

CHAPTERS = {
    "Two ways to write a button": (short_way, documented_way),
    "Progress": (progress, library_callback, async_generator, cancel, many_at_once),
    "Files": (several_files, file_contents, big_file, cached_file),
    "The visitor": (form, upload, callback, failure, visitor),
    "Looks": (attributes, own_templates, bootstrap),
}
CHAPTERS = {chapter: tuple(map(Example, modules)) for chapter, modules in CHAPTERS.items()}
EXAMPLES = {example.name: example for examples in CHAPTERS.values() for example in examples}

__all__ = ["CHAPTERS", "EXAMPLES", "pages"]
