"""Reads: whole tables over several pages, columns, filters, coordinates, range maps."""

import datetime
import os

import pandas as pd
from expect import RATES, done, refused, same

from mainsequence.client.exceptions import BadRequestError
from mainsequence.client.metatables import MetaTable, TimeIndexMetaTable
from mainsequence.meta_tables import APIDataNode

UTC = datetime.timezone.utc


def day(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


node = APIDataNode.build_from_identifier("fx_ecb_daily_rates")
frame = node.get_df_between_dates()
same(len(frame), int(os.environ["ROWS"]))
same(list(frame.index.names), ["time_index", "currency"])
times = frame.index.get_level_values("time_index")
assert not times.isna().any(), "no moment is lost between pages"
assert times.is_monotonic_increasing and not frame.index.duplicated().any()
same(str(frame["rate"].dtype), "float64")
assert frame["rate"].gt(0).all()

week = dict(start_date=day("1999-01-04"), end_date=day("1999-01-08"))
all_of_week = node.get_df_between_dates(**week)
open_week = node.get_df_between_dates(**week, great_or_equal=False, less_or_equal=False)
same(sorted(set(open_week.index.get_level_values(0).strftime("%d"))), ["05", "06", "07"])
narrow = node.get_df_between_dates(**week, columns=["rate"])
same(list(narrow.columns), ["rate"])
same(len(narrow), len(all_of_week))
two = node.get_df_between_dates(**week, dimension_filters={"currency": ["USD", "JPY", "XXX"]})
same(sorted(set(two.index.get_level_values("currency"))), ["JPY", "USD"])
same(len(two), 10)
one = node.get_df_between_dates(**week, index_coordinates=[{"currency": "USD"}])
same(len(one), 5)
ranges = [
    {"coordinate": {"currency": "USD"}, "start_date": day("1999-01-07"), "start_date_operand": ">="},
    {"coordinate": {"currency": "JPY"}, "start_date": day("1999-01-07"), "start_date_operand": ">"},
]
ranged = node.get_df_between_dates(end_date=day("1999-01-08"), dimension_range_map=ranges)
same(sorted(ranged.index.get_level_values("currency")), ["JPY", "USD", "USD"])
# More entries than the client sends at once: it asks twice.
many = [
    {"coordinate": {"currency": f"X{number:02}"}, "start_date": day("1999-01-04"), "start_date_operand": ">="}
    for number in range(120)
] + ranges
same(len(node.get_df_between_dates(end_date=day("1999-01-08"), dimension_range_map=many)), 3)
nothing = node.get_df_between_dates(start_date=day("2090-01-01"))
assert nothing.empty
refused(BadRequestError, node.get_df_between_dates, columns=["price"])
refused(BadRequestError, node.get_df_between_dates, dimension_filters={"rate": [1]})

# What the server makes of a text where the client takes none: the moment that it is.
table = TimeIndexMetaTable.get(uid=RATES)
same(len(table.get_last_observation(dimension_filters={"currency": ["USD", "JPY"]})), 2)
last = table.get_last_observation()
assert last.index.get_level_values("time_index").max() == times.max()
frame, storage = TimeIndexMetaTable.get_data_between_dates_from_node_identifier("fx_ecb_daily_rates", **week)
same((len(frame), storage.uid), (len(all_of_week), RATES))

# Statistics, and reads that go on from them.
statistics = table.get_data_updates()
same(statistics.max_time_index_value, times.max())
dollar = statistics.index_progress["USD"]
same(pd.Timestamp(dollar), times.max())
onward = statistics.get_dimension_range_map_great_or_equal(identity_dimensions=["currency"])
again = node.get_df_between_dates(dimension_range_map=onward)
same(len(again), len(last))
empty = TimeIndexMetaTable.get(identifier="fx_log_returns").get_data_updates()
same((empty.max_time_index_value, empty.index_progress or {}), (None, {}))
same(MetaTable.get(uid=RATES).time_indexed, True)

done()
