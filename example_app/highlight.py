"""Colour source code with three classes: that is all that these short files need."""

import keyword
import re

from markupsafe import Markup, escape

PYTHON = re.compile(
    r"(?P<comment>#.*)"
    r'|(?P<string>[bf]?"""[\s\S]*?"""|[bf]?"(?:\\.|[^"\\\n])*")'
    rf"|(?P<keyword>@[\w.]+|\b(?:{'|'.join(keyword.kwlist)})\b)"
)
JINJA = re.compile(r"(?P<comment>{#[\s\S]*?#})|(?P<keyword>{%[\s\S]*?%})|(?P<string>{{[\s\S]*?}})")


def highlight(source, pattern):
    html, end = Markup(), 0
    for match in pattern.finditer(source):
        html += escape(source[end : match.start()])
        html += Markup('<span class="{}">{}</span>').format(match.lastgroup, match[0])
        end = match.end()
    return html + escape(source[end:])
