"""List the examples, in the order in which they are read."""

from . import (
    async_generator,
    attributes,
    big_file,
    bootstrap,
    cached_file,
    callback,
    cancel,
    collect,
    documented_way,
    downloads_centre,
    failure,
    file_contents,
    form,
    library_callback,
    many_at_once,
    own_templates,
    several_files,
    short_way,
    upload,
    what_to_yield,
)
from .blueprint import pages
from .catalogue import Example

CHAPTERS = {
    "Two ways": (short_way, documented_way),
    "Progress": (what_to_yield, library_callback, async_generator, cancel, many_at_once),
    "Files": (several_files, file_contents, big_file, cached_file),
    "Visitors": (form, upload, callback, failure, collect, downloads_centre),
    "Looks": (attributes, own_templates, bootstrap),
}
CHAPTERS = {chapter: tuple(map(Example, modules)) for chapter, modules in CHAPTERS.items()}
EXAMPLES = {example.name: example for examples in CHAPTERS.values() for example in examples}

__all__ = ["CHAPTERS", "EXAMPLES", "pages"]
