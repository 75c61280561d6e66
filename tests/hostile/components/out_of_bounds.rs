//! Attacks nothing, but reads beyond a list; the panic must become an error of this run alone.

datanode_hostile::node!("out_of_bounds", |_| {
    let list = std::hint::black_box(vec![1, 2, 3]);
    let place = std::hint::black_box(7);
    Err(datanode_sdk::NodeError::new("index.returned", list[place].to_string()))
});
