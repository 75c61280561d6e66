// Component `js_clock_and_dice`: what a program in JavaScript sees that looks at clock and dice.
//
// Built without stubbing: QuickJS and its runtime import WASI. It is refused unless an operator admits it as class stubbed.

import "./text.js";
import frames from "datanode:node/frames@0.1.0";
import { int64, tableFromArrays, tableToIPC, TimeUnit, timestamp, utf8 } from "@uwdata/flechette";

const SCHEMA = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    additionalProperties: false,
    properties: {},
};

// The messages of a stream with one batch: schema, batch; its end is left out.
function messages(stream) {
    const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
    const schema = 8 + view.getInt32(4, true);
    const end = view.getInt32(stream.length - 4, true) === 0 ? stream.length - 8 : stream.length;
    return [stream.subarray(0, schema), stream.subarray(schema, end)];
}

export const node = {
    config() {
        return {
            name: "js_clock_and_dice",
            version: "0.1.0",
            description: "What WASI shows to a node; a golden component in JavaScript.",
            configSchema: JSON.stringify(SCHEMA),
            defaultOffsetStart: null,
            sources: [],
            index: ["time_index"],
            columns: [
                { name: "time_index", dataType: "timestamp_tz", nullable: false, description: "The window's end, and before." },
                { name: "seen", dataType: "string", nullable: false, description: "What was looked at." },
                { name: "value", dataType: "int64", nullable: false, description: "What was seen." },
            ],
        };
    },

    dependencies(_config) {
        return [];
    },

    update(_config, context) {
        try {
            const now = Date.now();
            const dice = () => Math.floor(Math.random() * 1e9);
            const looks = [
                ["milliseconds of the clock", now],
                ["milliseconds that have passed since", Date.now() - now],
                ["a random number", dice()],
                ["another one", dice()],
                ["a year of the calendar", new Date(now).getUTCFullYear()],
            ];
            const end = Number(context.window.end) / 1000;
            const rows = {
                // A millisecond of its own for each.
                time_index: looks.map((_, row) => end - looks.length + row),
                seen: looks.map(([seen]) => seen),
                value: looks.map(([, value]) => BigInt(value)),
            };
            const types = { time_index: timestamp(TimeUnit.MICROSECOND, "UTC"), seen: utf8(), value: int64() };
            for (const message of messages(tableToIPC(tableFromArrays(rows, { types }), { format: "stream" }))) {
                frames.emit(message);
            }
        } catch (error) {
            // Whatever is thrown becomes an error value: the contract knows no exceptions.
            throw error?.kind
                ? error
                : {
                      kind: "js_clock_and_dice.exception",
                      message: String(error?.message ?? error),
                      fields: [],
                      traceback: error?.stack ?? null,
                  };
        }
    },
};
