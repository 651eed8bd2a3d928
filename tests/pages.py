"""A page of HTML, read strictly: every element closed in its turn, and what is in it, to be asked about."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page as (tag, attributes, text within). Fails where one is not closed, or closed twice."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.elements, self.declared = text, [], [], ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {[element[0] for element in self.open]}"

    def handle_decl(self, decl):
        self.declared = decl

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> stands twice"
        element = [tag, dict(attrs), ""]
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag, **attributes):
        """The elements with this tag and these attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [element for element in self.elements if element[0] == tag and wanted.items() <= element[1].items()]

    def text_of(self, tag, **attributes):
        """The text of the one element with this tag and these attributes."""
        (element,) = self.all(tag, **attributes)
        return element[2]

    def rows(self, head):
        """The rows of the one table whose head begins so, as lists of texts."""
        found = [table for table in tables(self.text) if table[0][:len(head)] == list(head)]
        assert len(found) == 1
        return found[0][1:]


def tables(text):
    """Every table of a page, as rows of texts."""
    cells = [[re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
              for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
             for table in re.findall(r"<table[^>]*>(.*?)</table>", text, re.DOTALL)]
    return [[[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in table] for table in cells]


def pixels(source):
    """What an <img> shows, from its data URI."""
    head, _, content = source.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))))
