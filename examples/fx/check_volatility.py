#!/usr/bin/env python3
"""Compute the rolling volatility of the ECB reference rates from scratch, and compare a table's rows with it.

    check_volatility.py VOLATILITY    VOLATILITY: a CSV with a header, or JSON lines, with the columns time_index
                                      (ISO 8601), currency, volatility; "-" reads standard input
    check_volatility.py --print       write the own values as CSV

From the bank's zip by way of the returns of check_returns.py. It shares no code with the components: standard library
only. Sums are exact (math.fsum), so what is compared is the components' rounding, too.
"""

import argparse
import csv
import math
import sys
from collections import defaultdict, deque
from datetime import date
from pathlib import Path

from check_returns import SHOWN, ZIP, compare, given, own_returns

TOLERANCE = 1e-12
TRADING_DAYS = 252


def own_volatility(returns, n):
    """Map (day, currency) to the annualised sample standard deviation of the currency's last n returns."""
    windows = defaultdict(lambda: deque(maxlen=n))
    volatility = {}
    for day, currency in sorted(returns):
        window = windows[currency]
        window.append(returns[day, currency])
        if len(window) == n:
            mean = math.fsum(window) / n
            variance = math.fsum((value - mean) ** 2 for value in window) / (n - 1)
            volatility[day, currency] = math.sqrt(variance * TRADING_DAYS)
    return volatility


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volatility", nargs="?", help="CSV or JSON lines to check; - for standard input")
    parser.add_argument("--print", action="store_true", dest="show", help="write the own values as CSV")
    parser.add_argument("--zip", type=Path, default=ZIP, help="the ECB's file")
    parser.add_argument("--until", type=date.fromisoformat, help="last day, inclusive")
    parser.add_argument("--max-gap-days", type=int, default=10)
    parser.add_argument("-n", type=int, default=20, help="returns in a window")
    arguments = parser.parse_args()
    if bool(arguments.volatility) == arguments.show:
        parser.error("give a file to check, or --print")

    expected = own_volatility(own_returns(arguments.zip, arguments.max_gap_days, arguments.until), arguments.n)
    if arguments.show:
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(["time_index", "currency", "volatility"])
        for (day, currency), value in sorted(expected.items()):
            out.writerow([f"{day}T00:00:00Z", currency, repr(value)])
        return 0

    def is_close(value, wanted):
        return abs(value - wanted) <= TOLERANCE * wanted

    if arguments.volatility == "-":
        differences, rows = compare(expected, given(sys.stdin, "volatility"), is_close)
    else:
        with open(arguments.volatility, encoding="utf-8") as file:
            differences, rows = compare(expected, given(file, "volatility"), is_close)
    if differences:
        print(f"{len(differences)} differences; {rows} rows given, {len(expected)} expected", file=sys.stderr)
        for difference in differences[:SHOWN]:
            print(f"  {difference}", file=sys.stderr)
        return 1
    print(f"{rows} volatilities agree to {TOLERANCE} of their value")
    return 0


if __name__ == "__main__":
    sys.exit(main())
