"""Test that files are taken out of Markdown as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest
from readme import blocks_of, files_of, write_files

PAGE = """
# A page

<!-- file: app.py -->
```python
print("a < b")

```

Some words, and a block that is no file:

```console
$ flask run
```

1. In a list

   <!-- file: templates/index.html -->
   ```jinja
   <p>
     {{ button }}
   ```
"""


def test_marked_blocks_are_files():
    assert files_of(PAGE) == {
        "app.py": 'print("a < b")\n\n',
        "templates/index.html": "<p>\n  {{ button }}\n",
    }


def test_every_block_is_found_with_its_language():
    assert [block.language for block in blocks_of(PAGE)] == ["python", "console", "jinja"]


def test_files_are_written_below_the_folder(tmp_path: Path):
    (tmp_path / "page.md").write_text(PAGE)

    write_files(tmp_path / "page.md", tmp_path / "app")

    assert (tmp_path / "app" / "templates" / "index.html").read_text().startswith("<p>")


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<!-- file: app.py -->\n\n```python\n```\n", "followed by no block"),
        ("<!-- file: app.py -->", "followed by no block"),
        ("<!-- file: ../app.py -->\n```\n```\n", "not below"),
        ("<!-- file: /etc/app.py -->\n```\n```\n", "not below"),
        ("<!-- file: a -->\n```\n```\n<!-- file: a -->\n```\n```\n", "shown twice"),
        ("```python\nx = 1\n", "no end"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(page: str, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        files_of(page)
