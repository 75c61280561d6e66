#!/usr/bin/env python3
"""Compute the log returns of the ECB reference rates from scratch, and compare a table's rows with them.

    check_returns.py RETURNS         RETURNS: a CSV with a header, or JSON lines, with the columns time_index (ISO
                                     8601), currency, log_return; "-" reads standard input
    check_returns.py --print         write the own values as CSV

It shares no code with the components: standard library only.
"""

import argparse
import csv
import io
import json
import math
import sys
import zipfile
from datetime import date, datetime, timezone
from pathlib import Path

ZIP = Path(__file__).resolve().parent / "data" / "eurofxref-hist.zip"
TOLERANCE = 1e-12
SHOWN = 10


def own_returns(path, max_gap_days, until):
    """Map (day, currency) to the log return against the currency's previous observation."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read("eurofxref-hist.csv").decode("ascii")
    lines = list(csv.reader(io.StringIO(text)))
    header, days = lines[0], sorted(lines[1:], key=lambda line: line[0])
    returns = {}
    for column, currency in enumerate(header):
        if column == 0 or not currency:
            continue
        previous = None
        for line in days:
            if line[column] == "N/A":
                continue
            day, rate = date.fromisoformat(line[0]), float(line[column])
            if until and day > until:
                break
            if previous and (day - previous[0]).days <= max_gap_days:
                returns[day, currency] = math.log(rate / previous[1])
            previous = day, rate
    return returns


def day_of(text):
    moment = datetime.fromisoformat(text.replace(" ", "T", 1))
    if moment.tzinfo:
        moment = moment.astimezone(timezone.utc)
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise ValueError(f"{text} is not midnight UTC")
    return moment.date()


def given(file, column):
    """The rows of a CSV or JSON-lines file as ((day, currency), value of the column)."""
    text = file.read()
    if text.lstrip().startswith("{"):
        rows = (json.loads(line) for line in text.splitlines() if line.strip())
    else:
        rows = csv.DictReader(io.StringIO(text))
    for row in rows:
        yield (day_of(row["time_index"]), row["currency"]), float(row[column])


def compare(expected, rows, is_close):
    """Sentences about what differs, and the number of rows given."""
    differences, seen = [], set()
    for key, value in rows:
        name = f"{key[0]} {key[1]}"
        if key in seen:
            differences.append(f"{name}: given twice")
        elif key not in expected:
            differences.append(f"{name}: {value!r} given, none expected")
        elif not is_close(value, expected[key]):  # also true of NaN
            differences.append(f"{name}: {value!r} given, {expected[key]!r} expected")
        seen.add(key)
    differences += [f"{day} {currency}: missing" for day, currency in sorted(expected.keys() - seen)]
    return differences, len(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("returns", nargs="?", help="CSV or JSON lines to check; - for standard input")
    parser.add_argument("--print", action="store_true", dest="show", help="write the own values as CSV")
    parser.add_argument("--zip", type=Path, default=ZIP, help="the ECB's file")
    parser.add_argument("--until", type=date.fromisoformat, help="last day, inclusive")
    parser.add_argument("--max-gap-days", type=int, default=10)
    arguments = parser.parse_args()
    if bool(arguments.returns) == arguments.show:
        parser.error("give a file to check, or --print")

    expected = own_returns(arguments.zip, arguments.max_gap_days, arguments.until)
    if arguments.show:
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(["time_index", "currency", "log_return"])
        for (day, currency), value in sorted(expected.items()):
            out.writerow([f"{day}T00:00:00Z", currency, repr(value)])
        return 0

    def is_close(value, wanted):
        return abs(value - wanted) <= TOLERANCE

    if arguments.returns == "-":
        differences, rows = compare(expected, given(sys.stdin, "log_return"), is_close)
    else:
        with open(arguments.returns, encoding="utf-8") as file:
            differences, rows = compare(expected, given(file, "log_return"), is_close)
    if differences:
        print(f"{len(differences)} differences; {rows} rows given, {len(expected)} expected", file=sys.stderr)
        for difference in differences[:SHOWN]:
            print(f"  {difference}", file=sys.stderr)
        return 1
    print(f"{rows} returns agree to {TOLERANCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
