// What the C components of this directory share: texts, the fields of a config, Arrow in and out.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "data_node.h"
#include "nanoarrow/nanoarrow.h"

// A copy that the bindings free.
data_node_string_t text(const char *value);

// Fill in an error value; answers false, as a function that failed does.
bool fail(exports_datanode_node_node_node_error_t *error, const char *kind, const char *message);

// An output column.
exports_datanode_node_node_output_column_t column(const char *name, const char *type, const char *description);

// What all of them say of themselves; columns are added by the caller.
void describe(exports_datanode_node_node_component_config_t *config, const char *name, const char *description,
              const char *schema, const exports_datanode_node_node_output_column_t *columns, size_t count);

// The text of a field of a flat JSON object, without escapes: false when it is not there or too long.
bool config_text(const data_node_string_t *config, const char *field, char *value, size_t size);

// The integer of a field, or the default.
int64_t config_integer(const data_node_string_t *config, const char *field, int64_t otherwise);

// A line of the log.
void log_line(const char *message);

// Called with the time in microseconds and the value of each row.
typedef void (*on_row)(void *into, int64_t time, double value);

// Read `time_index` and the first float64 column of a dependency over a range of time. False: see the error.
bool read_series(const char *key, datanode_node_frames_time_range_t range, on_row row, void *into,
                 exports_datanode_node_node_node_error_t *error);

// A frame that is being built: `time_index`, then columns of the given types, none of them nullable.
struct frame {
  struct ArrowSchema schema;
  struct ArrowArray rows;
};

bool frame_begin(struct frame *frame, const char *const *names, const enum ArrowType *types, int64_t count);

// Begin a row; its other values are appended to `frame->rows.children[1]` and further.
bool frame_time(struct frame *frame, int64_t time);

// End a row.
bool frame_row(struct frame *frame);

// Emit what was built, if it has rows, and release it.
bool frame_emit(struct frame *frame, exports_datanode_node_node_node_error_t *error);
