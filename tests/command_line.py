"""The command in a process of its own, and its answer as one JSON object."""

import json
import subprocess
import sys


def command(*words):
    return [sys.executable, "-m", "byhand", *map(str, words)]


def process(*words, **options):
    """The command in a process of its own, as a shell runs it."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=120, **options)
    return done.returncode, done.stdout, done.stderr


def the_object(text):
    """The one JSON object that is all of a text."""
    found, end = json.JSONDecoder().raw_decode(text)
    assert text[end:] == "\n" and isinstance(found, dict)
    return found
