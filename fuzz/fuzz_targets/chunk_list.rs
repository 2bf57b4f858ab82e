// SPDX-License-Identifier: MIT
//! Lists of chunks and ranges from another store: whatever the bytes are, what is read back is what they say, and a recipe asks for
//! exactly what is missing, in ranges that the other side takes.
#![no_main]

use hyperbox_chunks::{
    ChunkIndex, MOST_CHUNKS, Origin, Recipe, decode_list, decode_ranges, encode_list, encode_ranges,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ranges) = decode_ranges(bytes) {
        assert_eq!(encode_ranges(&ranges), bytes);
    }
    let Ok(list) = decode_list(bytes) else { return };
    assert!(list.len() <= MOST_CHUNKS);
    assert_eq!(encode_list(&list).as_deref(), Some(bytes));
    // Every other chunk is here.
    let mut known = ChunkIndex::default();
    for (number, chunk) in list.iter().enumerate().step_by(2) {
        let _is_new = known.insert(chunk.id, number);
    }
    let recipe = Recipe::new(&list, &known);
    let missing = recipe.steps().iter().filter(|step| step.origin == Origin::Elsewhere);
    assert_eq!(missing.map(|step| u64::from(step.length)).sum::<u64>(), recipe.missing());
    let ranges = recipe.ranges_from(0);
    assert_eq!(ranges.iter().map(|range| range.length).sum::<u64>(), recipe.missing());
    if !ranges.is_empty() {
        assert_eq!(decode_ranges(&encode_ranges(&ranges)), Ok(ranges));
    }
});
