"""DataNodes written with the unmodified client, as `tests/producer_client.rs` runs them against a server of ours.

    producer.py register           register the two tables of these nodes
    producer.py run                run the head, with its dependency; says what both hold, as JSON
    producer.py run-failing        run the head so that it fails in its `update`
    producer.py read TABLE         read a table that a component has written; says its rows, as JSON

Which server, token and project, the environment says.
"""

import datetime
import json
import sys

import pandas as pd
from sqlalchemy import JSON, BigInteger, Date, DateTime, Float, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mainsequence.client import TimeIndexMetaTable
from mainsequence.meta_tables import (
    APIDataNode,
    DataNode,
    DataNodeConfiguration,
    PlatformTimeIndexMetaTable,
)

RATES = "fx_ecb_daily_rates"
FIRST = datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC)


def info(label, description):
    return {"label": label, "description": description}


class Base(DeclarativeBase):
    metadata = MetaData()


class GbpTable(PlatformTimeIndexMetaTable, Base):
    __tablename__ = "client_gbp_rates"
    __metatable_namespace__ = "tests.client"
    __metatable_identifier__ = "tests.client: rates of the pound"
    __metatable_description__ = "Pounds per euro, by day, as a producer has read them from a component's table."
    __time_index_name__ = "time_index"
    __cadence__ = "1d"
    __index_names__ = ["time_index"]

    time_index: Mapped[datetime.datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, nullable=False, info=info("Day", "Midnight of the day, in UTC.")
    )
    value: Mapped[float] = mapped_column(Float, nullable=False, info=info("Rate", "Pounds per euro."))


class ChangeTable(PlatformTimeIndexMetaTable, Base):
    __tablename__ = "client_rate_changes"
    __metatable_namespace__ = "tests.client"
    __metatable_identifier__ = "tests.client: changes of the pound"
    __metatable_description__ = "How the pound has changed over days and weeks, one row per day and span."
    __time_index_name__ = "time_index"
    __cadence__ = "1d"
    __index_names__ = ["time_index", "span"]

    time_index: Mapped[datetime.datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, nullable=False, info=info("Day", "Midnight of the day, in UTC.")
    )
    span: Mapped[str] = mapped_column(
        String, primary_key=True, nullable=False, info=info("Span", "Over how long: `day` or `week`.")
    )
    change: Mapped[float] = mapped_column(Float, nullable=True, info=info("Change", "Relative change."))
    rows: Mapped[int] = mapped_column(BigInteger, nullable=False, info=info("Rows", "Rows that were looked at."))
    since: Mapped[datetime.date] = mapped_column(Date, nullable=False, info=info("Since", "The day before."))
    facts: Mapped[dict] = mapped_column(JSON, nullable=True, info=info("Facts", "What else is known."))


class GbpConfig(DataNodeConfiguration):
    currency: str = "GBP"


class GbpRates(DataNode):
    """Reads a table that a component of the host has written."""

    def __init__(self, config, storage_table, *, hash_namespace=None):
        self.config = config
        self.rates = APIDataNode.build_from_identifier(RATES)
        super().__init__(config=config, storage_table=storage_table, hash_namespace=hash_namespace)

    def dependencies(self):
        return {"rates": self.rates}

    def update(self):
        latest = self.update_statistics.max_time_index_value
        rates = self.rates.get_df_between_dates(
            start_date=latest or FIRST,
            great_or_equal=latest is None,
            dimension_filters={"currency": [self.config.currency]},
            columns=["rate"],
        )
        if rates.empty:
            return pd.DataFrame()
        rates = rates.reset_index()
        days = pd.DatetimeIndex(rates["time_index"], name="time_index", dtype="datetime64[ns, UTC]")
        return pd.DataFrame({"value": rates["rate"].to_numpy(dtype="float64")}, index=days)


class ChangeConfig(DataNodeConfiguration):
    fails: bool = False


class Changes(DataNode):
    """Reads what another producer has written, which is run first."""

    def __init__(self, config, storage_table, *, hash_namespace=None):
        self.config = config
        self.gbp = GbpRates(config=GbpConfig(), storage_table=GbpTable)
        super().__init__(config=config, storage_table=storage_table, hash_namespace=hash_namespace)

    def dependencies(self):
        return {"gbp": self.gbp}

    def update(self):
        if self.config.fails:
            raise RuntimeError("the config asks for it")
        rates = self.gbp.get_df_between_dates(start_date=FIRST)
        values = rates.reset_index().set_index("time_index")["value"].sort_index().round(6)
        frames = []
        for span, days in (("day", 1), ("week", 5)):
            before = values.shift(days)
            changes = (values / before - 1).round(8).iloc[days:]
            since = pd.Series(values.index, index=values.index).shift(days).iloc[days:]
            index = pd.MultiIndex.from_arrays(
                [
                    pd.DatetimeIndex(changes.index, dtype="datetime64[ns, UTC]"),
                    [span] * len(changes),
                ],
                names=["time_index", "span"],
            )
            frames.append(
                pd.DataFrame(
                    {
                        "change": changes.to_numpy(dtype="float64"),
                        "rows": pd.array([days + 1] * len(changes), dtype="int64"),
                        "since": [moment.date() for moment in since],
                        "facts": [{"span": span, "days": days} for _ in range(len(changes))],
                    },
                    index=index,
                )
            )
        return pd.concat(frames)


def register():
    source = TimeIndexMetaTable.get(identifier=RATES).data_source_uid
    for model in (GbpTable, ChangeTable):
        TimeIndexMetaTable.register(model.build_registration_request(data_source_uid=source))


def bind():
    """Where the two tables are: the client looks them up by that, when a node is made."""
    source = TimeIndexMetaTable.get(identifier=RATES).data_source_uid
    for model in (GbpTable, ChangeTable):
        model.data_source_uid = source


def run(fails):
    bind()
    head = Changes(config=ChangeConfig(fails=fails), storage_table=ChangeTable)
    error = None
    try:
        head.run(force_update=True)
    except RuntimeError as raised:
        error = str(raised)
    statistics = head.get_update_statistics()
    frame = head.get_df_between_dates(start_date=FIRST)
    print(
        json.dumps(
            {
                "error": error,
                "update_hash": head.update_hash,
                "dependency_hash": head.gbp.update_hash,
                "rows": len(frame),
                "dtypes": {name: str(dtype) for name, dtype in frame.dtypes.items()},
                "latest": str(statistics.max_time_index_value),
                "progress": {key: str(value) for key, value in (statistics.index_progress or {}).items()},
                "sum": round(float(frame["change"].sum()), 6) if len(frame) else 0.0,
            }
        )
    )


def read(identifier):
    frame = APIDataNode.build_from_identifier(identifier).get_df_between_dates(start_date=FIRST)
    frame = frame.reset_index()
    print(json.dumps({"rows": len(frame), "columns": sorted(frame.columns), "last": str(frame["time_index"].max())}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["register"]:
            register()
        case ["run"]:
            run(fails=False)
        case ["run-failing"]:
            run(fails=True)
        case ["read", identifier]:
            read(identifier)
        case _:
            sys.exit(__doc__)
