//! Attacks the decoder with a message whose metadata is noise; the check of every byte must refuse it.

datanode_hostile::node!("garbage_arrow", |_| {
    const METADATA: u32 = 4096;
    let mut message = vec![0xff; 4];
    message.extend(METADATA.to_le_bytes());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while message.len() < 8 + METADATA as usize + 4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        message.extend(state.to_le_bytes());
    }
    datanode_hostile::emit_raw(&message);
    Ok(())
});
