//! Arrow IPC messages that hand-written components begin with, and where their parts are: an attack overwrites a part.

use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, Buffer, CompressionType, Endianness, FieldNode,
    MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder, SchemaBuilder, root_as_message,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use flatbuffers::{FlatBufferBuilder, Table, UnionWIPOffset, VOffsetT, WIPOffset};

/// One encapsulated message.
pub struct Message {
    pub bytes: Vec<u8>,
    /// Names of parts, and where they are.
    pub parts: Vec<(&'static str, usize)>,
}

/// Columns of an array type that no frame has.
const MANY_COLUMNS: usize = 20_000;
/// Lists within lists.
const DEEP: usize = 500;
/// What a message is written on, in bytes.
const STACK: usize = 64 << 20;
/// What a few kilobytes become when they are decompressed.
const BOMB: usize = 256 << 20;

/// The message of a name; None where there is none. On a stack of its own: what is nested is written and verified by
/// recursion, and not optimised that takes more than a test has.
pub fn message(name: &str) -> Option<Message> {
    std::thread::scope(|scope| {
        let written = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || written(name));
        written.unwrap().join().unwrap()
    })
}

fn written(name: &str) -> Option<Message> {
    let january = [1_577_836_800_000_000, 1_577_923_200_000_000];
    let floats = |values: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let value = floats(vec![Some(1.5), None]);
    let bytes = match name {
        "schema" => of_schema(&good_schema(field("value", DataType::Float64))),
        // Two rows; their buffers are, in order: validity and values of the times; validity, offsets and texts of the ids
        // ("a", "bb"); validity and values of the floats, the second of which is null.
        "batch" => of_batch(&january, &["a", "bb"], value),
        // One row, for components that change its time and emit it again.
        "row" => of_batch(&january[..1], &["a"], floats(vec![Some(1.5)])),
        "empty" => of_batch(&[], &[], floats(vec![])),
        "integers_schema" => of_schema(&good_schema(field("value", DataType::Int64))),
        "integers" => of_batch(&january, &["a", "bb"], Arc::new(Int64Array::from(vec![1, 2]))),
        "columns_twice_schema" => {
            let mut fields = good_schema(field("value", DataType::Float64)).fields.to_vec();
            fields.push(Arc::new(field("value", DataType::Float64)));
            of_schema(&Schema::new(fields))
        }
        "columns_none_schema" => of_schema(&Schema::empty()),
        "columns_many_schema" => {
            let many = (0..MANY_COLUMNS).map(|number| field(&format!("c{number}"), DataType::Int64));
            let good = good_schema(field("value", DataType::Float64));
            let good = good.fields.iter().map(|field| field.as_ref().clone());
            of_schema(&Schema::new(good.chain(many).collect::<Vec<_>>()))
        }
        "columns_more" => {
            let batch = batch(&january, &["a", "bb"], value);
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(Int64Array::from(vec![1, 2])));
            let mut fields = batch.schema().fields.to_vec();
            fields.push(Arc::new(field("more", DataType::Int64)));
            last(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
        }
        "columns_fewer" => last(&batch(&january, &["a", "bb"], value).project(&[0, 1]).unwrap()),
        "nothing_schema" => of_schema(&good_schema(field("value", DataType::Null))),
        "zero_width_schema" => of_schema(&good_schema(field("value", DataType::FixedSizeBinary(0)))),
        "views_schema" => of_schema(&good_schema(field("value", DataType::Utf8View))),
        "runs_schema" => {
            let (ends, values) = (field("run_ends", DataType::Int32), field("values", DataType::Float64));
            let runs = DataType::RunEndEncoded(Arc::new(ends.with_nullable(false)), Arc::new(values));
            of_schema(&good_schema(field("value", runs)))
        }
        "nested_schema" => of_schema(&good_schema(field("value", nested(3)))),
        "deep_schema" => of_schema(&good_schema(field("value", nested(DEEP)))),
        "big_endian_schema" => big_endian(),
        "dictionary_schema" => of_schema(&dictionary(&["a", "b"]).schema()),
        "dictionary" => dictionaries(DictionaryHandling::Resend)[1].clone(),
        "dictionary_delta" => dictionaries(DictionaryHandling::Delta)[3].clone(),
        "bomb" => bomb(),
        _ => return None,
    };
    Some(Message { parts: parts(&bytes), bytes })
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn nested(depth: usize) -> DataType {
    (0..depth).fold(DataType::Float64, |inner, _| DataType::List(Arc::new(field("item", inner))))
}

fn good_schema(value: Field) -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Schema::new(vec![field("time_index", time), field("id", DataType::Utf8), value])
}

fn batch(times: &[i64], ids: &[&str], value: ArrayRef) -> RecordBatch {
    let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    let schema = good_schema(field("value", value.data_type().clone()));
    let ids = StringArray::from(ids.to_vec());
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(times), Arc::new(ids), value]).unwrap()
}

fn dictionary(words: &[&str]) -> RecordBatch {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for word in words {
        builder.append_value(word);
    }
    let times: Vec<i64> = (0..).take(words.len()).collect();
    batch(&times, words, Arc::new(builder.finish()))
}

/// The messages of a frame.
fn messages(schema: &Schema, batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<Vec<u8>> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    let stream = writer.into_inner().unwrap();
    let (mut rest, mut messages) = (stream.as_slice(), Vec::new());
    while rest.len() > 8 {
        let metadata = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let body = unverified(&rest[8..8 + metadata]).bodyLength();
        let (message, after) = rest.split_at(8 + metadata + usize::try_from(body).unwrap());
        messages.push(message.to_vec());
        rest = after;
    }
    messages
}

/// A schema within a schema is deeper than its reader allows.
fn unverified(metadata: &[u8]) -> arrow_ipc::Message<'_> {
    let options = flatbuffers::VerifierOptions {
        max_depth: 10_000,
        max_tables: 10_000_000,
        ..flatbuffers::VerifierOptions::default()
    };
    arrow_ipc::root_as_message_with_opts(&options, metadata).unwrap()
}

fn of_schema(schema: &Schema) -> Vec<u8> {
    messages(schema, &[], IpcWriteOptions::default()).remove(0)
}

fn last(batch: &RecordBatch) -> Vec<u8> {
    let batches = std::slice::from_ref(batch);
    messages(&batch.schema(), batches, IpcWriteOptions::default()).pop().unwrap()
}

fn of_batch(times: &[i64], ids: &[&str], value: ArrayRef) -> Vec<u8> {
    last(&batch(times, ids, value))
}

/// The schema, a dictionary, a batch, another dictionary or what is new in it, a batch.
fn dictionaries(handling: DictionaryHandling) -> Vec<Vec<u8>> {
    let batches = [dictionary(&["a", "b"]), dictionary(&["a", "b", "c"])];
    let options = IpcWriteOptions::default().with_dictionary_handling(handling);
    messages(&batches[0].schema(), &batches, options)
}

/// Around a header that a builder has made.
fn enclosed(
    mut builder: FlatBufferBuilder<'_>,
    header: WIPOffset<UnionWIPOffset>,
    kind: MessageHeader,
    body: &[u8],
) -> Vec<u8> {
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(i64::try_from(body.len()).unwrap());
    let message = message.finish();
    builder.finish(message, None);
    let mut metadata = builder.finished_data().to_vec();
    metadata.resize(metadata.len().next_multiple_of(8), 0);
    let length = u32::try_from(metadata.len()).unwrap().to_le_bytes();
    [&[0xff; 4], &length[..], &metadata, body].concat()
}

/// No columns, and the other byte order.
fn big_endian() -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let none: Vec<WIPOffset<arrow_ipc::Field<'_>>> = Vec::new();
    let fields = builder.create_vector(&none);
    let mut schema = SchemaBuilder::new(&mut builder);
    schema.add_endianness(Endianness::Big);
    schema.add_fields(fields);
    let header = schema.finish().as_union_value();
    enclosed(builder, header, MessageHeader::Schema, &[])
}

/// A batch of a few kilobytes whose texts are zeros without end.
fn bomb() -> Vec<u8> {
    let zeros = zstd::bulk::compress(&vec![0; BOMB], 3).unwrap();
    let mut body = i64::try_from(BOMB).unwrap().to_le_bytes().to_vec();
    body.extend(zeros);
    let length = i64::try_from(body.len()).unwrap();
    body.resize(body.len().next_multiple_of(8), 0);
    let rows = i64::try_from(BOMB / 8).unwrap();

    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[FieldNode::new(rows, 0); 3]);
    let buffers = builder.create_vector(&[Buffer::new(0, length); 7]);
    let mut compression = BodyCompressionBuilder::new(&mut builder);
    compression.add_codec(CompressionType::ZSTD);
    compression.add_method(BodyCompressionMethod::BUFFER);
    let compression = compression.finish();
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    batch.add_compression(compression);
    let header = batch.finish().as_union_value();
    enclosed(builder, header, MessageHeader::RecordBatch, &body)
}

/// Where the parts of a message are that attacks overwrite.
fn parts(message: &[u8]) -> Vec<(&'static str, usize)> {
    const METADATA: usize = 8;
    let length = u32::from_le_bytes(message[4..METADATA].try_into().unwrap()) as usize;
    let header = unverified(&message[METADATA..METADATA + length]);
    let mut parts = vec![("metadata_length", 4), ("metadata", METADATA), ("body", METADATA + length)];
    // A field that has its default is not there.
    let mut add = |name, table: &Table<'_>, field: VOffsetT| {
        let offset = usize::from(table.vtable().get(field));
        if offset > 0 {
            parts.push((name, METADATA + table.loc() + offset));
        }
    };
    add("version", &header._tab, arrow_ipc::Message::VT_VERSION);
    add("header_type", &header._tab, arrow_ipc::Message::VT_HEADER_TYPE);
    add("body_length", &header._tab, arrow_ipc::Message::VT_BODYLENGTH);
    if let Some(batch) = header.header_as_record_batch() {
        add("rows", &batch._tab, arrow_ipc::RecordBatch::VT_LENGTH);
        // Structs of two i64 each lie one after the other.
        let place = |first: *const u8| first.addr() - message.as_ptr().addr();
        if let Some(nodes) = batch.nodes().filter(|nodes| !nodes.is_empty()) {
            parts.push(("nodes", place(nodes.bytes().as_ptr())));
        }
        if let Some(buffers) = batch.buffers().filter(|buffers| !buffers.is_empty()) {
            parts.push(("buffers", place(buffers.bytes().as_ptr())));
            let names = ["times_valid", "times", "ids_valid", "ids_offsets", "ids", "values_valid", "values"];
            for (name, buffer) in names.into_iter().zip(buffers) {
                parts.push((name, METADATA + length + usize::try_from(buffer.offset()).unwrap()));
            }
        }
    }
    parts
}

/// What the components are made of is what it says.
#[test]
fn the_messages_are_good_and_their_parts_are_where_they_are_said_to_be() {
    let batch = message("batch").unwrap();
    let part = |name: &str| batch.parts.iter().find(|(part, _)| *part == name).unwrap().1;
    let word = |at: usize| i64::from_le_bytes(batch.bytes[at..at + 8].try_into().unwrap());
    assert_eq!((word(part("rows")), word(part("nodes")), word(part("nodes") + 40)), (2, 2, 1));
    assert_eq!(word(part("times")), 1_577_836_800_000_000);
    assert_eq!(&batch.bytes[part("ids")..part("ids") + 3], b"abb");
    assert_eq!(word(part("body_length")), i64::try_from(batch.bytes.len() - part("body")).unwrap());
    let metadata = &batch.bytes[part("metadata")..part("body")];
    assert_eq!(root_as_message(metadata).unwrap().header_type(), MessageHeader::RecordBatch);
    assert!(message("bomb").unwrap().bytes.len() < 100 << 10);
    assert!(message("no_such").is_none());
}
