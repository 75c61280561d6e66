// Component `c_moving_mean`: the mean of the last `days` readings, one row per reading.
//
// A node in C, written against the contract itself: bindings of wit-bindgen, Arrow by nanoarrow, no WASI.

#include <stdio.h>
#include <stdlib.h>

#include "node.h"

#define MICROS_PER_DAY INT64_C(86400000000)
#define MAX_DAYS 366

static const char SCHEMA[] =
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"type\": \"object\","
    " \"additionalProperties\": false, \"required\": [\"readings_table\"], \"properties\": {"
    " \"readings_table\": {\"type\": \"string\", \"description\": \"Table of the daily readings.\","
    " \"examples\": [\"readings\"], \"x-table-reference\": true},"
    " \"days\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 366, \"default\": 7,"
    " \"description\": \"Days of one mean.\", \"examples\": [7]}}}";

void exports_datanode_node_node_config(exports_datanode_node_node_component_config_t *ret) {
  exports_datanode_node_node_output_column_t columns[] = {
      column("time_index", "timestamp_tz", "Day, at midnight UTC."),
      column("mean", "float64", "Mean of this reading and those before it."),
      column("readings", "int64", "How many readings the mean is of."),
  };
  describe(ret, "c_moving_mean", "Moving means of daily readings; a golden component in C.", SCHEMA, columns, 3);
}

bool exports_datanode_node_node_dependencies(exports_datanode_node_node_json_t *config,
                                             exports_datanode_node_node_list_dependency_t *ret,
                                             exports_datanode_node_node_node_error_t *error) {
  char table[256];
  if (!config_text(config, "readings_table", table, sizeof table)) {
    return fail(error, "c_moving_mean.config", "`readings_table` is no plain name");
  }
  ret->ptr = malloc(sizeof *ret->ptr);
  ret->len = 1;
  ret->ptr->key = text("readings");
  ret->ptr->target.tag = EXPORTS_DATANODE_NODE_NODE_DEPENDENCY_TARGET_NODE;
  ret->ptr->target.val.node.component = text("daily_readings");
  ret->ptr->target.val.node.config = text("{}");
  ret->ptr->target.val.node.table = text(table);
  return true;
}

// The last readings, in a ring.
struct means {
  struct frame frame;
  double readings[MAX_DAYS];
  int64_t days, seen;
  // Rows from here on are missing.
  int64_t from;
  int64_t rows;
  bool ok;
};

static void reading(void *into, int64_t time, double value) {
  struct means *means = into;
  means->readings[means->seen % means->days] = value;
  means->seen++;
  if (time < means->from || !means->ok) return;
  int64_t count = means->seen < means->days ? means->seen : means->days;
  double sum = 0;
  // From the oldest to the latest: the order of a sum of floats is a part of its result.
  for (int64_t back = count; back > 0; back--) sum += means->readings[(means->seen - back) % means->days];
  means->ok = frame_time(&means->frame, time) &&
              ArrowArrayAppendDouble(means->frame.rows.children[1], sum / (double)count) == NANOARROW_OK &&
              ArrowArrayAppendInt(means->frame.rows.children[2], count) == NANOARROW_OK && frame_row(&means->frame);
  means->rows++;
}

bool exports_datanode_node_node_update(exports_datanode_node_node_json_t *config,
                                       exports_datanode_node_node_update_context_t *context,
                                       exports_datanode_node_node_node_error_t *error) {
  static const char *const NAMES[] = {"time_index", "mean", "readings"};
  static const enum ArrowType TYPES[] = {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TYPE_DOUBLE, NANOARROW_TYPE_INT64};
  struct means *means = calloc(1, sizeof *means);
  means->days = config_integer(config, "days", 7);
  means->from = INT64_MIN;
  means->ok = frame_begin(&means->frame, NAMES, TYPES, 3);
  if (context->window.start.is_some) means->from = context->window.start.val;
  if (context->statistics.max_time.is_some && context->statistics.max_time.val >= means->from) {
    means->from = context->statistics.max_time.val + 1;
  }
  datanode_node_frames_time_range_t range = {{false}, {true, {context->window.end, true}}};
  if (means->from != INT64_MIN) {
    // What the first mean needs besides its own reading.
    range.start.is_some = true;
    range.start.val.time = means->from - means->days * MICROS_PER_DAY;
    range.start.val.inclusive = true;
  }
  bool done = read_series("readings", range, reading, means, error);
  if (done && !means->ok) done = fail(error, "arrow.output", "out of memory");
  char line[64];
  snprintf(line, sizeof line, "%lld readings, %lld means", (long long)means->seen, (long long)means->rows);
  log_line(line);
  done = done && frame_emit(&means->frame, error);
  free(means);
  return done;
}
