"""Tail deletes: of all coordinates, of some by filters, of some by coordinates."""

import datetime

from expect import RATES, done, refused, same

from mainsequence.client.exceptions import BadRequestError
from mainsequence.client.metatables import TimeIndexMetaTable

rates = TimeIndexMetaTable.get(uid=RATES)
answer = rates.delete_after_date("2007-12-24T00:00:00Z", dimension_filters={"currency": ["USD", "JPY"]})
assert answer["deleted_count"] > 0 and answer["ok"], answer
same(answer["dimension_filters"], {"currency": ["USD", "JPY"]})
same(rates.delete_after_date("2007-12-24T00:00:00Z", dimension_filters={"currency": ["USD", "JPY"]})["deleted_count"], 0)
date = datetime.datetime(2007, 12, 24, tzinfo=datetime.timezone.utc)
answer = rates.delete_after_date(date, index_coordinates=[{"currency": "GBP"}])
assert answer["deleted_count"] > 0 and not answer["table_empty"], answer
entry = {"coordinate": {"currency": "CHF"}, "start_date": date, "start_date_operand": ">"}
assert rates.delete_after_date("2007-01-01", dimension_range_map=[entry])["deleted_count"] > 0
for scope in [
    {"dimension_filters": {}},
    {"dimension_filters": {"currency": []}},
    {"index_coordinates": []},
    {"dimension_range_map": []},
]:
    refused(BadRequestError, rates.delete_after_date, "1999-01-01", **scope)
refused(BadRequestError, rates.delete_after_date, None)
answer = rates.delete_after_date("2007-12-01")
assert answer["deleted_count"] > 100, answer
same(answer["stats"]["last_time_index_value"], "2007-11-30T00:00:00.000000Z")
same(str(rates.get_data_updates().max_time_index_value), "2007-11-30 00:00:00+00:00")

done()
