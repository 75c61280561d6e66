//! Attacks nothing, but divides by zero; the trap must name this file and the panic its line.

datanode_hostile::node!("divides_by_zero", |context| {
    let zero = context.statistics().leaves().count();
    datanode_sdk::info!("dividing", by = zero);
    Err(datanode_sdk::NodeError::new("division.returned", (7 / std::hint::black_box(zero)).to_string()))
});
