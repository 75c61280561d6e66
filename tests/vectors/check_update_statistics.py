#!/usr/bin/env python3
"""Check update_statistics.json against the rules of update_statistics.md, without any code of an SDK.

Slow and literal on purpose: every question is a search through a list of leaves.
"""

import datetime
import json
import pathlib
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


class Refused(Exception):
    """A helper's error code."""


def micros(text):
    return None if text is None else (datetime.datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def value(typed):
    """Type and value: equal and sorted as the rules say."""
    (kind, plain), = typed.items()
    if kind == "timestamp":
        plain = micros(plain)
    elif kind == "date":
        plain = datetime.date.fromisoformat(plain).toordinal()
    return kind, plain


def coordinate(values):
    return tuple(value(typed) for typed in values)


class Statistics:
    """Leaves: (coordinate, min, max) in any order."""

    def __init__(self, dimensions, leaves):
        self.dimensions, self.found = dimensions, sorted(leaves, key=lambda leaf: leaf[0])

    def about(self, identity):
        below = [leaf for leaf in self.found if leaf[0][: len(identity)] == identity]
        if below or len(identity) > len(self.dimensions):
            return below
        return [leaf for leaf in self.found if identity[: len(leaf[0])] == leaf[0]]

    def leaves(self):
        return self.found

    def coordinates(self):
        return [leaf[0] for leaf in self.found]

    def min_time(self):
        return min((low for _, low, _ in self.found if low is not None), default=None)

    def max_time(self):
        return max((high for _, low, high in self.found if low is not None), default=None)

    def last_update_for(self, identity):
        return max((high for _, _, high in self.about(coordinate(identity)) if high is not None), default=None)

    def earliest_update_for(self, identity):
        times = [high for _, _, high in self.about(coordinate(identity))]
        return None if None in times else min(times, default=None)

    def earliest(self):
        return self.earliest_update_for([])

    def start_for(self, identity, offset_start):
        known = self.earliest_update_for(identity)
        return micros(offset_start) if known is None else known

    def scope(self, identities, fallback):
        wanted = {coordinate(identity) for identity in identities}
        if any(len(identity) > len(self.dimensions) for identity in wanted):
            raise Refused("statistics.coordinate")
        stored = lambda identity: any(leaf[0][: len(identity)] == identity for leaf in self.found)
        first = lambda *times: next((time for time in times if time is not None), None)
        kept = [
            (leaf[0], leaf[1], first(leaf[2], micros(fallback)))
            for leaf in self.found
            if any(leaf[0][: len(identity)] == identity for identity in wanted)
        ]
        unseen = {identity for identity in wanted if not stored(identity)}
        for identity in unseen:
            if not any(identity[:length] in unseen for length in range(len(identity))):
                kept.append((identity, None, first(*(leaf[2] for leaf in self.about(identity)), micros(fallback))))
        return Statistics(self.dimensions, kept)

    def filter_level(self, dimension, values):
        if dimension not in self.dimensions:
            raise Refused("statistics.dimensions")
        level, allowed = self.dimensions.index(dimension), [value(typed) for typed in values]
        return Statistics(
            self.dimensions, [leaf for leaf in self.found if len(leaf[0]) <= level or leaf[0][level] in allowed]
        )

    def dimension_range_map_ge(self, identity_dimensions, extra_delta):
        if identity_dimensions != self.dimensions:
            raise Refused("statistics.dimensions")
        if any(len(leaf[0]) < len(self.dimensions) for leaf in self.found):
            raise Refused("statistics.partial_coordinate")
        return [(at, None if high is None else high + (extra_delta or 0)) for at, _, high in self.found]

    def nested(self, which, level=0, prefix=()):
        tree = []
        here = [leaf for leaf in self.found if leaf[0][:level] == prefix and len(leaf[0]) > level]
        for key in sorted({leaf[0][level] for leaf in here}):
            ends = [leaf for leaf in here if leaf[0] == (*prefix, key)]
            tree.append((key, ends[0][which] if ends else self.nested(which, level + 1, (*prefix, key))))
        return tree

    def index_min(self):
        return self.nested(1)

    def index_progress(self):
        return self.nested(2)


def leaves(given):
    return [(coordinate(leaf["coordinate"]), micros(leaf["min"]), micros(leaf["max"])) for leaf in given]


def tree(given):
    return [(value(key), tree(below) if isinstance(below, list) else micros(below)) for key, below in given]


EXPECTED = {
    "leaves": leaves,
    "coordinates": lambda given: [coordinate(values) for values in given],
    "scope": leaves,
    "filter_level": leaves,
    "dimension_range_map_ge": lambda given: [(coordinate(entry["coordinate"]), micros(entry["start"])) for entry in given],
    "index_progress": tree,
    "index_min": tree,
}


def answer(vector):
    statistics = Statistics(vector["dimensions"], leaves(vector["statistics"]))
    for step in vector.get("after", []):
        statistics = getattr(statistics, step["helper"])(**step["arguments"])
    result = getattr(statistics, vector["helper"])(**vector["arguments"])
    return result.found if isinstance(result, Statistics) else result


def main():
    vectors = json.loads(pathlib.Path(__file__).with_name("update_statistics.json").read_text())["vectors"]
    wrong = 0
    for vector in vectors:
        try:
            said = {"expected": answer(vector)}
        except Refused as refusal:
            said = {"error": str(refusal)}
        if "error" in vector:
            right = said == {"error": vector["error"]}
        else:
            right = said == {"expected": EXPECTED.get(vector["helper"], micros)(vector["expected"])}
        if not right:
            wrong += 1
            print(f"wrong: {vector['name']}", file=sys.stderr)
    print(f"{len(vectors)} vectors, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
