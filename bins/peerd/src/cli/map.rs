//! A download's map in one line: which of its bytes are here, and which are on their way.

use std::ops::Range;

use serde_json::Value;

/// What the cells of a line are drawn with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    held: char,
    partly: char,
    arriving: char,
    missing: char,
}

impl Signs {
    /// For a terminal.
    pub(super) const BLOCKS: Self = Self { held: '█', partly: '▓', arriving: '▒', missing: '░' };
    /// For files and pipes.
    pub(super) const PLAIN: Self = Self { held: '#', partly: '+', arriving: '>', missing: '.' };
}

/// Draws `width` cells out of a map as `/downloads/{id}/ranges` gives it. A cell counts as held when all of its bytes are
/// here. `None` while nobody knows how long the file is, or when it is empty.
pub(super) fn line(ranges: &Value, width: u64, signs: Signs) -> Option<String> {
    let total = ranges.get("total")?.as_u64().filter(|total| *total > 0)?;
    let (held, arriving) = (spans(ranges, "held"), spans(ranges, "arriving"));
    let cells = width.min(total);
    let edge = |n: u64| u64::try_from(u128::from(total) * u128::from(n) / u128::from(cells)).unwrap_or(total);
    let cell = |n: u64| {
        let bytes = edge(n)..edge(n + 1);
        match overlap(&held, &bytes) {
            here if here == bytes.end - bytes.start => signs.held,
            0 if overlap(&arriving, &bytes) > 0 => signs.arriving,
            0 => signs.missing,
            _ => signs.partly,
        }
    };
    Some((0..cells).map(cell).collect())
}

fn spans(ranges: &Value, list: &str) -> Vec<Range<u64>> {
    let spans = ranges.get(list).and_then(Value::as_array).into_iter().flatten();
    spans.filter_map(|span| Some(span.get(0)?.as_u64()?..span.get(1)?.as_u64()?)).collect()
}

/// How many of `bytes` are in `spans`, which do not overlap each other.
fn overlap(spans: &[Range<u64>], bytes: &Range<u64>) -> u64 {
    let common = |span: &Range<u64>| span.end.min(bytes.end).saturating_sub(span.start.max(bytes.start));
    spans.iter().map(common).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_held_when_all_of_it_is_here() {
        let map = |held: Value, arriving: Value| json!({ "total": 100, "held": held, "arriving": arriving });
        for (held, arriving, expected) in [
            (json!([]), json!([]), ".........."),
            (json!([[0, 100]]), json!([]), "##########"),
            (json!([[0, 25]]), json!([[25, 60]]), "##+>>>...."),
            (json!([[0, 99]]), json!([[99, 100]]), "#########+"),
            (json!([[0, 1], [55, 57]]), json!([]), "+....+...."),
        ] {
            let drawn = line(&map(held.clone(), arriving), 10, Signs::PLAIN);
            assert_eq!(drawn.as_deref(), Some(expected), "{held}");
        }
    }

    #[test]
    fn there_are_no_more_cells_than_bytes_and_no_map_of_what_nobody_knows() {
        let map = |total: Value| json!({ "total": total, "held": [[0, 3]], "arriving": [] });
        assert_eq!(line(&map(json!(4)), 10, Signs::BLOCKS).as_deref(), Some("███░"));
        assert_eq!(line(&map(json!(u64::MAX)), 3, Signs::PLAIN).as_deref(), Some("+.."), "no overflow");
        for nothing in [json!(null), json!(0)] {
            assert_eq!(line(&map(nothing), 10, Signs::PLAIN), None);
        }
        assert_eq!(line(&json!("odd"), 10, Signs::PLAIN), None);
    }
}
