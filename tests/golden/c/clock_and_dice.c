// Component `c_clock_and_dice`: what a program sees that looks at everything that a node does not have.
//
// Built with WASI: the clock, random numbers, the environment, files, standard streams. It is refused unless an operator
// admits it as class stubbed; then all of it follows from what the run was called with.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node.h"

static const char SCHEMA[] =
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"type\": \"object\","
    " \"additionalProperties\": false, \"properties\": {"
    " \"leaves\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1, \"default\": 0,"
    " \"description\": \"Whether the program ends itself.\", \"examples\": [0]}}}";

void exports_datanode_node_node_config(exports_datanode_node_node_component_config_t *ret) {
  exports_datanode_node_node_output_column_t columns[] = {
      column("time_index", "timestamp_tz", "What the clock says, and a microsecond more for each row."),
      column("seen", "string", "What was looked at."),
      column("value", "int64", "What was seen."),
  };
  describe(ret, "c_clock_and_dice", "What WASI shows to a node; a golden component in C.", SCHEMA, columns, 3);
}

bool exports_datanode_node_node_dependencies(exports_datanode_node_node_json_t *config,
                                             exports_datanode_node_node_list_dependency_t *ret,
                                             exports_datanode_node_node_node_error_t *error) {
  (void)config, (void)error;
  ret->ptr = NULL;
  ret->len = 0;
  return true;
}

static bool row(struct frame *frame, int64_t *time, const char *seen, int64_t value) {
  return frame_time(frame, (*time)++) &&
         ArrowArrayAppendString(frame->rows.children[1], ArrowCharView(seen)) == NANOARROW_OK &&
         ArrowArrayAppendInt(frame->rows.children[2], value) == NANOARROW_OK && frame_row(frame);
}

extern char **environ;

bool exports_datanode_node_node_update(exports_datanode_node_node_json_t *config,
                                       exports_datanode_node_node_update_context_t *context,
                                       exports_datanode_node_node_node_error_t *error) {
  static const char *const NAMES[] = {"time_index", "seen", "value"};
  static const enum ArrowType TYPES[] = {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TYPE_STRING, NANOARROW_TYPE_INT64};
  (void)context;
  struct timespec now, begun, ended;
  clock_gettime(CLOCK_REALTIME, &now);
  clock_gettime(CLOCK_MONOTONIC, &begun);
  // A second, which passes at once.
  struct timespec second = {1, 0};
  nanosleep(&second, NULL);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  int64_t dice[2];
  if (getentropy(dice, sizeof dice) != 0) return fail(error, "c_clock_and_dice.entropy", "no random numbers");
  int64_t variables = 0;
  while (environ != NULL && environ[variables] != NULL) variables++;
  FILE *file = fopen("/etc/passwd", "r");

  printf("the clock says %lld\n", (long long)now.tv_sec);
  printf("a line that ");
  printf("is written in pieces, and has no end");
  fflush(stdout);
  fprintf(stderr, "a warning\n");
  if (config_integer(config, "leaves", 0) == 1) exit(3);

  int64_t time = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - 100;
  struct frame frame;
  bool done = frame_begin(&frame, NAMES, TYPES, 3) && row(&frame, &time, "seconds of the clock", now.tv_sec) &&
              row(&frame, &time, "a second of sleep, in nanoseconds",
                  (ended.tv_sec - begun.tv_sec) * INT64_C(1000000000) + (ended.tv_nsec - begun.tv_nsec)) &&
              row(&frame, &time, "a random number", dice[0]) && row(&frame, &time, "another one", dice[1]) &&
              row(&frame, &time, "variables of the environment", variables) &&
              row(&frame, &time, "files that could be opened", file != NULL) &&
              row(&frame, &time, "a character of standard input", getchar());
  if (!done) return fail(error, "arrow.output", "out of memory");
  return frame_emit(&frame, error);
}
