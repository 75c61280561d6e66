"""The catalogue: lists, single tables, both searches, registration, labels, sharing, removal."""

from expect import ASSETS, RATES, done, refused, same

from mainsequence.client.exceptions import ApiError, BadRequestError, ConflictError, DoesNotExist, NotFoundError
from mainsequence.client.metatables import MetaTable, TimeIndexMetaTable

# Lists and single tables.
tables = TimeIndexMetaTable.filter()
same(sorted(table.identifier for table in tables), ["fx_ecb_daily_rates", "fx_log_returns"])
same(len(MetaTable.filter()), 3)
rates = TimeIndexMetaTable.get(uid=RATES)
same(rates.identifier, "fx_ecb_daily_rates")
same(rates.index_names, ["time_index", "currency"])
same(rates.column_dtypes_map["rate"], "float64")
same(TimeIndexMetaTable.get(RATES).uid, RATES)
same(TimeIndexMetaTable.get_by_uid(RATES).uid, RATES)
same(MetaTable.get(identifier="fx_ecb_daily_rates").uid, RATES)
same(MetaTable.get(uid=ASSETS).table_kind, "reference")
refused(DoesNotExist, TimeIndexMetaTable.get, uid="00000000-0000-4000-8000-000000000000")
refused(NotFoundError, TimeIndexMetaTable.get, "00000000-0000-4000-8000-000000000000")
same(TimeIndexMetaTable.get_or_none(identifier="nothing"), None)
refused(ApiError, TimeIndexMetaTable.get, namespace="examples.fx")
for filters, expected in [
    ({"identifier__in": ["fx_log_returns", "nothing"]}, ["fx_log_returns"]),
    ({"identifier__contains": "ecb"}, ["fx_ecb_daily_rates"]),
    ({"labels": "returns"}, ["fx_log_returns"]),
    ({"namespace__isnull": True}, []),
    ({"physical_schema": "public", "physical_table_name": "fx_log_returns"}, ["fx_log_returns"]),
    ({"data_source__uid": rates.data_source_uid, "uid": RATES}, ["fx_ecb_daily_rates"]),
]:
    same([table.identifier for table in TimeIndexMetaTable.filter(**filters)], expected, filters)
found = TimeIndexMetaTable.filter_by_body(
    data_source__uid=rates.data_source_uid,
    physical_schema__in=["public"],
    physical_table_name__in=["fx_ecb_daily_rates"],
    limit=20,
)
same([table.uid for table in found], [RATES])

# Searches: pages of tables.
answer = TimeIndexMetaTable.description_search("euro exchange rates")
same(answer["results"][0].uid, RATES)
same(TimeIndexMetaTable.description_search("rates", data_source__id=2)["count"], 0)
answer = TimeIndexMetaTable.column_search("currency", identifier__in=["fx_ecb_daily_rates", "nothing"])
same([table.uid for table in answer["results"]], [RATES])
answer = MetaTable.description_search("assets", trigram_k=20, embed_k=0, w_trgm=1.0, w_emb=0.0)
same(answer["results"][0].uid, ASSETS)
refused(BadRequestError, TimeIndexMetaTable.description_search, "rates", embedding_model="another")
assert rates.refresh_table_search_index()["meta_table_uid"] == RATES

# Labels.
same([label.name for label in rates.add_label(["daily", "Daily", " fx "]).labels], ["fx", "ecb", "daily"])
same([label.name for label in rates.remove_label("daily").labels], ["fx", "ecb"])
same(TimeIndexMetaTable.get(uid=RATES).labels, ["fx", "ecb"])

# Sharing.
same(rates.can_view().users, [])
rates.add_to_view(2)
rates.add_team_to_edit(1)
same([user.username for user in rates.can_view().users], ["grace"])
same([team.name for team in rates.can_edit().teams], ["desk"])
rates.remove_from_view(2)
rates.remove_team_from_edit(1)
same((rates.can_view().users, rates.can_edit().teams), ([], []))
refused(NotFoundError, rates.add_to_view, 4711)

# Registration, by what the class would send.
contract = {
    "authoring": {"time_indexed": {"time_index_name": "time_index", "index_names": ["time_index", "unique_identifier"]}},
    "physical": {"schema": "public", "table_name": "client_prices"},
    "columns": [
        {"name": "time_index", "data_type": "timestamp with time zone", "nullable": False},
        {"name": "unique_identifier", "data_type": "string", "backend_type": "VARCHAR(255)", "nullable": False},
        {"name": "close", "data_type": "float64", "description": "Close."},
    ],
}


def request(identifier, **more):
    fields = {
        "data_source_uid": rates.data_source_uid,
        "identifier": identifier,
        "namespace": "examples.client",
        "description": "Prices.",
        "time_index_name": "time_index",
        "cadence": "1d",
        "table_contract": contract,
    }
    return fields | more


made = TimeIndexMetaTable.register(**request("client.Prices (daily)", protect_from_deletion=True))
same((made.identifier, made.physical_table_name, made.cadence), ("client.Prices (daily)", "client_prices", "1d"))
same(TimeIndexMetaTable.register(**request("client.Prices (daily)")).uid, made.uid)
same(MetaTable.get(identifier="client.Prices (daily)").uid, made.uid)
refused(ConflictError, TimeIndexMetaTable.register, **request("client.Others"))
refused(BadRequestError, TimeIndexMetaTable.register, **request("x", data_source_uid="nothing"))
same(made.patch(description="Better.").description, "Better.")
refused(BadRequestError, made.patch, columns=[])
refused(ConflictError, made.delete, full_delete_selected=True)
made.delete(full_delete_selected=True, override_protection=True)
same(TimeIndexMetaTable.get_or_none(uid=made.uid), None)
said = refused(ConflictError, rates.delete, full_delete_selected=True)
assert "writes it" in said, said
rows = [request("client.One", management_mode="platform_managed", physical_schema="public")]
made = TimeIndexMetaTable.bulk_create(rows)
same([table.identifier for table in made], ["client.One"])
made[0].delete()

done()
