"""The client's own command line, run as a program runs it, but in one process: it takes seconds to begin."""

import json
import os

from expect import RATES, done, same
from typer.testing import CliRunner

from mainsequence.cli.cli import app

runner = CliRunner()


def run(*words, code=0, answer=None):
    outcome = runner.invoke(app, list(words), input=answer)
    assert outcome.exit_code == code, f"{words}: {outcome.exit_code}\n{outcome.output}\n{outcome.exception!r}"
    return outcome.output


def read(*words, code=0):
    text = run("--json", *words, code=code)
    return json.loads(text)


tables = read("data-node", "list")
same(sorted(table["identifier"] for table in tables), ["fx_ecb_daily_rates", "fx_log_returns"])
text = run("data-node", "list", "--filter", "identifier=fx_ecb_daily_rates")
assert "fx_ecb_daily_rates" in text or RATES[:8] in text, text
assert "Total data node storages: 1" in text, text
same(read("data-node", "detail", RATES)["uid"], RATES)
assert RATES[:8] in run("data-node", "detail", RATES)
for words in [
    ("search", "euro exchange rates"),
    ("search", "currency", "--mode", "column"),
    ("search", "rates", "--mode", "both", "--data-source-id", "1"),
    ("search", "rates", "--trigram-k", "50", "--embed-k", "50", "--w-trgm", "0.5", "--w-emb", "0.5"),
]:
    text = run("data-node", *words)
    assert RATES[:8] in text or "fx_ecb" in text, text
run("data-node", "search", "rates", "--embedding-model", "another", code=1)
answer = read("data-node", "run_query", RATES, "SELECT count(*) AS n FROM fx_ecb_daily_rates WHERE currency = 'USD'")
assert answer["results"][0]["n"] > 2000, answer
run("data-node", "run_query", RATES, "DROP TABLE fx_ecb_daily_rates", code=1)
run("data-node", "refresh-search-index", RATES)
run("data-node", "add-label", RATES, "--label", "one,two")
assert "two" in run("data-node", "detail", RATES) or "two" in read("data-node", "detail", RATES)["labels"]
run("data-node", "remove-label", RATES, "--label", "one", "--label", "two")
same(read("data-node", "detail", RATES)["labels"], ["fx", "ecb"])
run("data-node", "add_to_view", RATES, "2")
assert "grace" in run("data-node", "can_view", RATES)
run("data-node", "remove_from_view", RATES, "2")
assert "grace" not in run("data-node", "can_view", RATES)
run("data-node", "can_edit", RATES)
run("data-node", "detail", "00000000-0000-4000-8000-000000000000", code=1)
same(len(read("meta-table", "list")), 3)

# A table that nobody needs goes, once its name is typed.
from mainsequence.client.metatables import TimeIndexMetaTable  # noqa: E402

made = TimeIndexMetaTable.register(
    data_source_uid=tables[0]["data_source_uid"],
    identifier="client.Passing",
    namespace="examples.client",
    time_index_name="time_index",
    table_contract={
        "authoring": {"time_indexed": {"time_index_name": "time_index", "index_names": ["time_index"]}},
        "physical": {"schema": "public", "table_name": "client_passing"},
        "columns": [
            {"name": "time_index", "data_type": "timestamp with time zone", "nullable": False},
            {"name": "value", "data_type": "float64"},
        ],
    },
)
run("data-node", "delete", made.uid, "--full-delete-selected", answer="client_passing\n")
same(TimeIndexMetaTable.get_or_none(uid=made.uid), None)

# Without a token, every command says so.
os.environ["MAINSEQUENCE_ACCESS_TOKEN"] = "nothing"
run("data-node", "list", code=1)

done()
