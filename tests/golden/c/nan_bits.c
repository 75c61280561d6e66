// Component `c_nan_bits`: the bits of what arithmetic makes of NaN.
//
// WebAssembly leaves open which NaN an operation gives, and processors differ in it: in the sign of the one that 0/0 makes,
// and in which of two operands goes on. The host makes them all alike; where it does not, this component shows it.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "node.h"

static const char SCHEMA[] =
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"type\": \"object\","
    " \"additionalProperties\": false, \"properties\": {"
    " \"payload\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000, \"default\": 7,"
    " \"description\": \"Payload of the NaNs that are computed with.\", \"examples\": [7]}}}";

void exports_datanode_node_node_config(exports_datanode_node_node_component_config_t *ret) {
  exports_datanode_node_node_output_column_t columns[] = {
      column("time_index", "timestamp_tz", "One microsecond per operation, from 1970 on."),
      column("operation", "string", "The operation."),
      column("bits", "int64", "The bits of its result."),
  };
  describe(ret, "c_nan_bits", "Bits of NaN after arithmetic; a golden component in C.", SCHEMA, columns, 3);
}

bool exports_datanode_node_node_dependencies(exports_datanode_node_node_json_t *config,
                                             exports_datanode_node_node_list_dependency_t *ret,
                                             exports_datanode_node_node_node_error_t *error) {
  (void)config, (void)error;
  ret->ptr = NULL;
  ret->len = 0;
  return true;
}

static double of_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static bool row(struct frame *frame, int64_t *time, const char *operation, double value) {
  int64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return frame_time(frame, (*time)++) &&
         ArrowArrayAppendString(frame->rows.children[1], ArrowCharView(operation)) == NANOARROW_OK &&
         ArrowArrayAppendInt(frame->rows.children[2], bits) == NANOARROW_OK && frame_row(frame);
}

bool exports_datanode_node_node_update(exports_datanode_node_node_json_t *config,
                                       exports_datanode_node_node_update_context_t *context,
                                       exports_datanode_node_node_node_error_t *error) {
  static const char *const NAMES[] = {"time_index", "operation", "bits"};
  static const enum ArrowType TYPES[] = {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TYPE_STRING, NANOARROW_TYPE_INT64};
  if (context->statistics.max_time.is_some) return true;
  uint64_t payload = (uint64_t)config_integer(config, "payload", 7);
  // Volatile: the compiler of this file is not to compute what the engine is to compute.
  volatile double zero = 0, one = 1, first = of_bits(UINT64_C(0x7ff8000000000000) | payload),
                  second = of_bits(UINT64_C(0xfff8000000000000) | (payload + 1));
  volatile float narrow = (float)first;
  struct frame frame;
  int64_t time = 0;
  bool done = frame_begin(&frame, NAMES, TYPES, 3) && row(&frame, &time, "0 / 0", zero / zero) &&
              row(&frame, &time, "inf - inf", one / zero - one / zero) &&
              row(&frame, &time, "sqrt(-1)", __builtin_sqrt(-one)) &&
              row(&frame, &time, "a + b", first + second) && row(&frame, &time, "b + a", second + first) &&
              row(&frame, &time, "a * b", first * second) && row(&frame, &time, "a - b", first - second) &&
              row(&frame, &time, "a / b", first / second) && row(&frame, &time, "1 + b", one + second) &&
              row(&frame, &time, "min(a, b)", __builtin_wasm_min_f64(first, second)) &&
              row(&frame, &time, "min(b, a)", __builtin_wasm_min_f64(second, first)) &&
              row(&frame, &time, "max(a, b)", __builtin_wasm_max_f64(first, second)) &&
              row(&frame, &time, "max(1, b)", __builtin_wasm_max_f64(one, second)) &&
              row(&frame, &time, "floor(b)", __builtin_floor(second)) &&
              row(&frame, &time, "narrow", (double)narrow);
  if (!done) return fail(error, "arrow.output", "out of memory");
  return frame_emit(&frame, error);
}
