// Component `js_weekday_labels`: the moving means of `c_moving_mean`, each with the weekday that it belongs to.
//
// A node in JavaScript, written against the contract itself: no SDK. Arrow is read and written by @uwdata/flechette.

import "./text.js";
import frames from "datanode:node/frames@0.1.0";
import log from "datanode:node/log@0.1.0";
import { float64, tableFromArrays, tableFromIPC, tableToIPC, TimeUnit, timestamp, utf8 } from "@uwdata/flechette";

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY_MILLIS = 86_400_000;
const DEPENDENCY = "means";

const tableField = (description, example) => ({
    type: "string",
    description,
    examples: [example],
    "x-table-reference": true,
});

const SCHEMA = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    additionalProperties: false,
    required: ["readings_table", "means_table"],
    properties: {
        readings_table: tableField("Table of the daily readings.", "readings"),
        means_table: tableField("Table of their moving means.", "moving_means"),
        days: {
            type: "integer",
            minimum: 1,
            maximum: 366,
            default: 7,
            description: "Days of one mean.",
            examples: [7],
        },
    },
};

function failure(kind, error) {
    return { kind, message: String(error?.message ?? error), fields: [], traceback: error?.stack ?? null };
}

// Whatever is thrown becomes an error value: the contract knows no exceptions.
function guarded(work) {
    try {
        return work();
    } catch (error) {
        throw error?.kind ? error : failure("js_weekday_labels.exception", error);
    }
}

function concatenated(pieces) {
    const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
        whole.set(piece, at);
        at += piece.length;
    }
    return whole;
}

// The messages of a stream with one batch: schema, batch; its end is left out.
function messages(stream) {
    const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
    const schema = 8 + view.getInt32(4, true);
    const end = view.getInt32(stream.length - 4, true) === 0 ? stream.length - 8 : stream.length;
    return [stream.subarray(0, schema), stream.subarray(schema, end)];
}

function read(range) {
    const reader = frames.open(DEPENDENCY, {
        range,
        columns: null,
        dimensionFilters: [],
        indexCoordinates: [],
        rangeMap: null,
    });
    const pieces = [new Uint8Array(reader.schema())];
    for (let batch = reader.next(); batch != null; batch = reader.next()) pieces.push(new Uint8Array(batch));
    // Its end, where the next message would be as long as nothing.
    pieces.push(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    return tableFromIPC(concatenated(pieces));
}

export const node = {
    config() {
        return {
            name: "js_weekday_labels",
            version: "0.1.0",
            description: "Moving means of daily readings, each with its weekday; a golden component in JavaScript.",
            configSchema: JSON.stringify(SCHEMA),
            defaultOffsetStart: null,
            sources: [],
            index: ["time_index"],
            columns: [
                { name: "time_index", dataType: "timestamp_tz", nullable: false, description: "Day, at midnight UTC." },
                { name: "label", dataType: "string", nullable: false, description: "Weekday and rounded mean." },
                { name: "root", dataType: "float64", nullable: false, description: "Square root of the mean." },
            ],
        };
    },

    dependencies(config) {
        return guarded(() => {
            const { readings_table, means_table, days } = JSON.parse(config);
            const inner = JSON.stringify({ readings_table, days });
            const target = { tag: "node", val: { component: "c_moving_mean", config: inner, table: means_table } };
            return [{ key: DEPENDENCY, target }];
        });
    },

    update(_config, context) {
        return guarded(() => {
            const { statistics, window } = context;
            const bounds = [];
            if (statistics.maxTime != null) bounds.push({ time: Number(statistics.maxTime), inclusive: false });
            if (window.start != null) bounds.push({ time: Number(window.start), inclusive: true });
            // The later one holds.
            bounds.sort((a, b) => b.time - a.time || a.inclusive - b.inclusive);
            const table = read({ start: bounds[0] ?? null, end: { time: Number(window.end), inclusive: true } });
            const times = Array.from(table.getChild("time_index").toArray(), Number);
            const means = Array.from(table.getChild("mean").toArray(), Number);
            log.write("info", "means read", [{ name: "rows", value: String(times.length) }]);
            if (times.length === 0) return;
            const labels = times.map((time, row) => {
                // 1970-01-01 was a Thursday.
                const weekday = (((Math.floor(time / DAY_MILLIS) + 4) % 7) + 7) % 7;
                return `${WEEKDAYS[weekday]} ${means[row].toFixed(2)}`;
            });
            const rows = { time_index: times, label: labels, root: Float64Array.from(means, Math.sqrt) };
            const types = { time_index: timestamp(TimeUnit.MICROSECOND, "UTC"), label: utf8(), root: float64() };
            for (const message of messages(tableToIPC(tableFromArrays(rows, { types }), { format: "stream" }))) {
                frames.emit(message);
            }
        });
    },
};
