"""SQL: good, bad and hostile, in both of the forms in which the client sends it."""

from expect import ASSETS, RATES, done, same

from mainsequence.client.metatables import MetaTable, TimeIndexMetaTable

rates, assets = TimeIndexMetaTable.get(uid=RATES), MetaTable.get(uid=ASSETS)
answer = rates.run_query("SELECT currency, count(*) AS n FROM public.fx_ecb_daily_rates WHERE currency IN ('USD', 'é漢😀') GROUP BY currency")
same((answer["ok"], answer["error"], answer["meta_table_uid"], len(answer["results"])), (True, None, RATES, 1))
same(assets.run_query("SELECT count(*) AS n FROM assets")["results"], [{"n": 3}])
answer = rates.run_query("SELECT * FROM fx_ecb_daily_rates")
same((answer["truncated"], answer["row_count"], answer["max_rows"]), (True, 1000, 1000))
for table, sql, kind in [
    (rates, "SELEC 1", "syntax_error"),
    (rates, "SELECT price FROM fx_ecb_daily_rates", "unknown_column"),
    (rates, "SELECT * FROM assets", "unknown_table"),
    (rates, "DELETE FROM fx_ecb_daily_rates", "forbidden_statement"),
    (rates, "SELECT 1; DROP TABLE fx_ecb_daily_rates", "forbidden_statement"),
    (rates, "SELECT * FROM pg_catalog.pg_user", "unknown_table"),
    (rates, "WITH x AS (DELETE FROM fx_ecb_daily_rates RETURNING *) SELECT * FROM x", "forbidden_statement"),
    (assets, "UPDATE assets SET name = 'x'", "forbidden_statement"),
    (assets, "SELECT load_extension('x') FROM assets", "forbidden_statement"),
]:
    answer = table.run_query(sql)
    same((answer["ok"], answer["results"], answer["row_count"]), (False, [], 0), sql)
    same((answer["error"]["kind"], answer["retryable"]), (kind, False), f"{sql}: {answer['error']}")

done()
