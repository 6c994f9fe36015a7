"""Ways to break a JSON file, and the check that each ends in a refusal that names the file."""

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path

from samodal.data.check import check
from samodal.data.open import open_dataset
from samodal.errors import InputError

JUNK = (None, "x", [], {}, -1, 1.5, 2**70, [["a"]], {"size": [40, 60], "counts": "abc"}, {"counts": [-5, 2405]})


def change(*place) -> Callable[[dict], None]:
    """A change of a JSON object: the keys down to a value, then the value."""
    *keys, last, value = place

    def apply(content):
        for key in keys:
            content = content[key]
        content[last] = value

    return apply


def twice(name: str) -> Callable[[dict], None]:
    """A change: the first entry of a list once more."""
    return lambda content: content[name].append(copy.deepcopy(content[name][0]))


def places(value, before=()):
    """The keys down to every value of a JSON object."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inner:
        yield (*before, key)
        yield from places(entry, (*before, key))


def refusals(data: str, path: Path, whole: dict) -> int:
    """Put junk in every place of an annotation file; how often that was refused, with the file's name.

    `samodal data check`, which goes on past what is broken, must then find something, and nothing else.
    """
    refused = 0
    for place, junk in itertools.product(places(whole), JUNK):
        content = copy.deepcopy(whole)
        change(*place, junk)(content)
        path.write_text(json.dumps(content))
        try:
            for video in open_dataset(data):
                assert len(video.truth) == video.length
        except InputError as error:
            assert str(path.parent) in str(error)
            refused += 1
            assert check(data, pixels=False).problems, place
        else:
            assert not check(data, pixels=False).problems, place
    return refused
