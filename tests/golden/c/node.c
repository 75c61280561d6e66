#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nanoarrow/nanoarrow_ipc.h"

typedef exports_datanode_node_node_node_error_t node_error;

data_node_string_t text(const char *value) {
  data_node_string_t copy;
  data_node_string_dup(&copy, value);
  return copy;
}

bool fail(node_error *error, const char *kind, const char *message) {
  error->kind = text(kind);
  error->message = text(message);
  error->fields.ptr = NULL;
  error->fields.len = 0;
  error->traceback.is_some = false;
  return false;
}

exports_datanode_node_node_output_column_t column(const char *name, const char *type, const char *description) {
  exports_datanode_node_node_output_column_t column = {text(name), text(type), false, text(description)};
  return column;
}

void describe(exports_datanode_node_node_component_config_t *config, const char *name, const char *description,
              const char *schema, const exports_datanode_node_node_output_column_t *columns, size_t count) {
  memset(config, 0, sizeof *config);
  config->name = text(name);
  config->version = text("0.1.0");
  config->description = text(description);
  config->config_schema = text(schema);
  config->index.ptr = malloc(sizeof(data_node_string_t));
  config->index.ptr[0] = text("time_index");
  config->index.len = 1;
  config->columns.ptr = malloc(count * sizeof *columns);
  memcpy(config->columns.ptr, columns, count * sizeof *columns);
  config->columns.len = count;
}

// Where the value of a field begins. The host has checked the config against the schema of the component: it is a flat
// object of identifiers and integers.
static const char *value_of(const data_node_string_t *config, const char *field, size_t *left) {
  char quoted[64];
  int length = snprintf(quoted, sizeof quoted, "\"%s\"", field);
  const char *at = (const char *)config->ptr, *end = at + config->len;
  for (; at + length < end; at++) {
    if (memcmp(at, quoted, (size_t)length) != 0) continue;
    at += length;
    while (at < end && (*at == ' ' || *at == ':')) at++;
    *left = (size_t)(end - at);
    return at;
  }
  return NULL;
}

bool config_text(const data_node_string_t *config, const char *field, char *value, size_t size) {
  size_t left, length = 0;
  const char *at = value_of(config, field, &left);
  if (at == NULL || left == 0 || *at != '"') return false;
  for (at++, left--; length < left && at[length] != '"'; length++) {
    if (at[length] == '\\' || length + 1 >= size) return false;
    value[length] = at[length];
  }
  value[length] = '\0';
  return length < left;
}

int64_t config_integer(const data_node_string_t *config, const char *field, int64_t otherwise) {
  size_t left;
  const char *at = value_of(config, field, &left);
  if (at == NULL) return otherwise;
  int64_t value = 0;
  for (; left > 0 && *at >= '0' && *at <= '9'; at++, left--) value = value * 10 + (*at - '0');
  return value;
}

void log_line(const char *message) {
  data_node_string_t line = {(uint8_t *)message, strlen(message)};
  datanode_node_log_list_field_t fields = {NULL, 0};
  datanode_node_log_write(DATANODE_NODE_LOG_LEVEL_INFO, &line, &fields);
}

static bool read_batch(struct ArrowIpcDecoder *decoder, struct ArrowBufferView message, on_row row, void *into,
                       struct ArrowError *why) {
  if (ArrowIpcDecoderVerifyHeader(decoder, message, why) != NANOARROW_OK) return false;
  if (ArrowIpcDecoderDecodeHeader(decoder, message, why) != NANOARROW_OK) return false;
  struct ArrowBufferView body = {{message.data.as_uint8 + decoder->header_size_bytes},
                                 message.size_bytes - decoder->header_size_bytes};
  struct ArrowArrayView *rows;
  if (ArrowIpcDecoderDecodeArrayView(decoder, body, -1, &rows, why) != NANOARROW_OK) return false;
  for (int64_t place = 0; place < rows->length; place++) {
    row(into, ArrowArrayViewGetIntUnsafe(rows->children[0], place),
        ArrowArrayViewGetDoubleUnsafe(rows->children[1], place));
  }
  return true;
}

bool read_series(const char *key, datanode_node_frames_time_range_t range, on_row row, void *into,
                 node_error *error) {
  data_node_string_t name = {(uint8_t *)key, strlen(key)};
  datanode_node_frames_query_t query;
  memset(&query, 0, sizeof query);
  query.range = range;
  datanode_node_frames_own_frame_reader_t reader;
  datanode_node_frames_host_error_t refused;
  if (!datanode_node_frames_open(&name, &query, &reader, &refused)) {
    error->kind = refused.code;
    error->message = refused.message;
    error->fields.len = 0;
    error->traceback.is_some = false;
    return false;
  }
  datanode_node_frames_borrow_frame_reader_t borrowed = datanode_node_frames_borrow_frame_reader(reader);
  struct ArrowError why = {""};
  struct ArrowIpcDecoder decoder;
  struct ArrowSchema schema = {0};
  bool read = ArrowIpcDecoderInit(&decoder) == NANOARROW_OK;
  data_node_list_u8_t message;
  if (read) {
    datanode_node_frames_method_frame_reader_schema(borrowed, &message);
    struct ArrowBufferView bytes = {{message.ptr}, (int64_t)message.len};
    read = ArrowIpcDecoderVerifyHeader(&decoder, bytes, &why) == NANOARROW_OK &&
           ArrowIpcDecoderDecodeHeader(&decoder, bytes, &why) == NANOARROW_OK &&
           ArrowIpcDecoderDecodeSchema(&decoder, &schema, &why) == NANOARROW_OK && schema.n_children >= 2 &&
           strcmp(schema.children[1]->format, "g") == 0 &&
           ArrowIpcDecoderSetSchema(&decoder, &schema, &why) == NANOARROW_OK;
    data_node_list_u8_free(&message);
  }
  while (read && datanode_node_frames_method_frame_reader_next(borrowed, &message)) {
    struct ArrowBufferView bytes = {{message.ptr}, (int64_t)message.len};
    read = read_batch(&decoder, bytes, row, into, &why);
    data_node_list_u8_free(&message);
  }
  if (schema.release != NULL) ArrowSchemaRelease(&schema);
  ArrowIpcDecoderReset(&decoder);
  datanode_node_frames_frame_reader_drop_own(reader);
  return read || fail(error, "arrow.input", ArrowErrorMessage(&why));
}

bool frame_begin(struct frame *frame, const char *const *names, const enum ArrowType *types, int64_t count) {
  ArrowSchemaInit(&frame->schema);
  if (ArrowSchemaSetTypeStruct(&frame->schema, count) != NANOARROW_OK) return false;
  for (int64_t place = 0; place < count; place++) {
    struct ArrowSchema *child = frame->schema.children[place];
    int made = place == 0 ? ArrowSchemaSetTypeDateTime(child, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "UTC")
                          : ArrowSchemaSetType(child, types[place]);
    if (made != NANOARROW_OK || ArrowSchemaSetName(child, names[place]) != NANOARROW_OK) return false;
    child->flags &= ~ARROW_FLAG_NULLABLE;
  }
  return ArrowArrayInitFromSchema(&frame->rows, &frame->schema, NULL) == NANOARROW_OK &&
         ArrowArrayStartAppending(&frame->rows) == NANOARROW_OK;
}

bool frame_time(struct frame *frame, int64_t time) {
  return ArrowArrayAppendInt(frame->rows.children[0], time) == NANOARROW_OK;
}

bool frame_row(struct frame *frame) { return ArrowArrayFinishElement(&frame->rows) == NANOARROW_OK; }

static void emit(struct ArrowBuffer *buffer) {
  data_node_list_u8_t message = {buffer->data, (size_t)buffer->size_bytes};
  datanode_node_frames_emit(&message);
}

bool frame_emit(struct frame *frame, node_error *error) {
  struct ArrowError why = {""};
  struct ArrowIpcEncoder encoder;
  struct ArrowArrayView view;
  struct ArrowBuffer head, body;
  ArrowBufferInit(&head);
  ArrowBufferInit(&body);
  bool done = ArrowIpcEncoderInit(&encoder) == NANOARROW_OK &&
              ArrowArrayFinishBuildingDefault(&frame->rows, &why) == NANOARROW_OK &&
              ArrowArrayViewInitFromSchema(&view, &frame->schema, &why) == NANOARROW_OK &&
              ArrowArrayViewSetArray(&view, &frame->rows, &why) == NANOARROW_OK;
  if (done && frame->rows.length > 0) {
    done = ArrowIpcEncoderEncodeSchema(&encoder, &frame->schema, &why) == NANOARROW_OK &&
           ArrowIpcEncoderFinalizeBuffer(&encoder, 1, &head) == NANOARROW_OK;
    if (done) emit(&head);
    ArrowBufferReset(&head);
    ArrowBufferInit(&head);
    done = done && ArrowIpcEncoderEncodeSimpleRecordBatch(&encoder, &view, &body, &why) == NANOARROW_OK &&
           ArrowIpcEncoderFinalizeBuffer(&encoder, 1, &head) == NANOARROW_OK &&
           ArrowBufferAppend(&head, body.data, body.size_bytes) == NANOARROW_OK;
    if (done) emit(&head);
  }
  ArrowBufferReset(&head);
  ArrowBufferReset(&body);
  ArrowArrayViewReset(&view);
  ArrowArrayRelease(&frame->rows);
  ArrowSchemaRelease(&frame->schema);
  ArrowIpcEncoderReset(&encoder);
  return done || fail(error, "arrow.output", ArrowErrorMessage(&why));
}
