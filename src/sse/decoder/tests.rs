use super::*;

fn events(decoder: &mut Decoder) -> Vec<(String, String)> {
    let mut out = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        out.push((event.name().into_owned(), event.data().into_owned()));
    }
    out
}

#[test]
fn an_event_inside_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"event: a\ndata: one\n\ndata: two\n\n");
    let inside = chunk.as_ptr_range();
    let mut decoder = Decoder::new();
    decoder.push(chunk);
    let mut seen = 0;
    while let Some(event) = decoder.next_event().unwrap() {
        assert!(inside.contains(&event.data_bytes().as_ptr()));
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn a_chunk_is_let_go_when_it_is_read() {
    let chunk = Bytes::from("data: one\n\ndata: tw".to_owned());
    let mut decoder = Decoder::new();
    decoder.push(chunk.clone());
    assert_eq!(events(&mut decoder).len(), 1);
    assert!(chunk.is_unique(), "the transport may use its buffer again");
}

#[test]
fn a_chunk_goes_with_its_last_event() {
    let chunk = Bytes::from("data: 1\n\ndata: 2\n\n".to_owned());
    let mut decoder = Decoder::new();
    decoder.push(chunk.clone());
    for last in [false, true] {
        assert!(decoder.next_event().unwrap().is_some());
        decoder.done_with_event();
        assert_eq!(chunk.is_unique(), last);
    }
    assert!(decoder.next_event().unwrap().is_none());
}

#[test]
fn pushing_early_loses_nothing() {
    let mut decoder = Decoder::new();
    for piece in ["event: n\nda", "ta: 1\n\ndata: 2\n", "data: 3\n\n", "data: 4\n\n"] {
        decoder.push(Bytes::from_static(piece.as_bytes()));
    }
    let found: Vec<_> = events(&mut decoder).into_iter().map(|(_, data)| data).collect();
    assert_eq!(found, ["1", "2\n3", "4"]);
}

#[test]
fn limits_are_errors_that_stay() {
    let mut decoder = Decoder::with_limits(Limits::uniform(16));
    decoder.push("data: 0123456789abcdef".into());
    let error = decoder.next_event().unwrap_err();
    assert_eq!(error.limit(), 16);
    assert_eq!(decoder.next_event().unwrap_err(), error);

    let mut decoder = Decoder::with_limits(Limits { line: 16, event: 20 });
    for _ in 0..2 {
        decoder.push("data: 012345678\n".into());
        assert!(decoder.next_event().unwrap().is_none());
    }
    decoder.push("data: 012345678\n".into());
    assert!(decoder.next_event().unwrap_err().to_string().contains("event"));
}

#[test]
fn a_line_has_32_mib_at_most_by_default() {
    let mut decoder = Decoder::new();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..32 {
        decoder.push(piece.clone());
        assert!(decoder.next_event().unwrap().is_none());
    }
    decoder.push(piece);
    assert!(decoder.next_event().is_err());
}

#[test]
fn comments_without_an_end_do_not_pile_up() {
    let mut decoder = Decoder::with_limits(Limits::uniform(64));
    for _ in 0..1000 {
        decoder.push(": still here\n".into());
        assert!(decoder.next_event().unwrap().is_none());
    }
    decoder.push("data: x\n\n".into());
    assert_eq!(events(&mut decoder).len(), 1);
}

#[test]
fn buffers_shrink_after_a_large_event() {
    let mut decoder = Decoder::new();
    decoder.push("data: ".into());
    assert!(decoder.next_event().unwrap().is_none());
    for _ in 0..64 {
        decoder.push(Bytes::from(vec![b'x'; 16 * 1024]));
        assert!(decoder.next_event().unwrap().is_none());
    }
    decoder.push("\n\n".into());
    assert_eq!(events(&mut decoder)[0].1.len(), 1 << 20);
    assert!(decoder.line.capacity() + decoder.data_buffer.capacity() <= 2 * KEEP);
    // The same of a large name and a large id.
    for field in ["event: ", "id: "] {
        decoder.push(field.into());
        assert!(decoder.next_event().unwrap().is_none());
        decoder.push(Bytes::from(vec![b'x'; 16 * 1024]));
        assert!(decoder.next_event().unwrap().is_none());
        decoder.push("\ndata: 1\n\n".into());
        assert_eq!(events(&mut decoder).len(), 1, "{field}");
    }
    assert_eq!(decoder.last_event_id().len(), 16 * 1024);
    let kept = [&decoder.name_buffer, &decoder.id, &decoder.line].map(Vec::capacity);
    assert!(kept.iter().all(|kept| *kept <= KEEP), "{kept:?}");
}

/// What stands around the data of the first event of `chunks`, the last of which ends it.
fn around(chunks: &[&str]) -> Option<(String, String)> {
    let mut decoder = Decoder::new();
    for chunk in chunks {
        assert!(!decoder.advance().unwrap());
        decoder.push((*chunk).to_owned().into());
    }
    assert!(decoder.advance().unwrap());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    decoder.around().map(|(before, behind)| (text(before), text(behind)))
}

#[test]
fn the_frame_of_an_event_is_what_stands_around_its_data() {
    for (wire, before, behind) in [
        ("data: 1\n\n", "data: ", "\n\n"),
        ("data:1\r\n\r\ndata: 2", "data:", "\r\n\r\n"),
        ("\n: note\nevent: a\ndata: 1\n\n", "event: a\ndata: ", "\n\n"),
        ("data: 1\nevent: a\n\n", "data: ", "\nevent: a\n\n"),
        ("event: a\n: note\ndata: 1\n\n", "event: a\n: note\ndata: ", "\n\n"),
        ("event: dropped\n\ndata: 1\n\n", "data: ", "\n\n"),
    ] {
        let expected = Some((before.to_owned(), behind.to_owned()));
        assert_eq!(around(&[wire]), expected, "{wire:?}");
    }
}

#[test]
fn an_event_that_does_more_has_no_frame() {
    for wire in [
        "data: 1\ndata: 2\n\n",
        "data: 1\nid: 7\n\n",
        "event: a\nid: 7\ndata: 1\n\n",
        "event: a\nretry: 7\ndata: 1\n\n",
    ] {
        assert_eq!(around(&[wire]), None, "{wire:?}");
    }
    assert_eq!(around(&["event: a\n", "data: 1\n\n"]), None);
    assert_eq!(around(&["data: 1", "\n\n"]), None);
}

#[test]
fn ahead_are_the_bytes_from_the_beginning_of_an_event() {
    let mut decoder = Decoder::with_limits(Limits { line: 64, event: 32 });
    assert_eq!(decoder.ahead(), None);
    decoder.push("data: 1\n\ndata: 2\n\ndata: 3\n\nda".into());
    // A byte-order mark might have come.
    assert_eq!(decoder.ahead(), None);
    assert!(decoder.advance().unwrap());
    assert_eq!(decoder.ahead(), Some(b"data: 2\n\ndata: 3\n\nda".as_slice()));
    decoder.skip(9);
    assert_eq!(events(&mut decoder), [("message".into(), "3".into())]);

    decoder.push("ta: 4\r\n\r".into());
    assert_eq!(decoder.ahead(), None, "inside of an event");
    assert!(decoder.advance().unwrap());
    decoder.push(Bytes::from(vec![b'\n'; 99]));
    assert_eq!(decoder.ahead(), None, "the line end is not whole");
    decoder.push("data: 5\n\n".into());
    assert_eq!(events(&mut decoder), [("message".into(), "5".into())]);
}

#[test]
fn ahead_is_no_more_than_the_limits_allow() {
    let chunk = Bytes::from("data: 1\n\ndata: 234567890\n\n".to_owned());
    let mut decoder = Decoder::with_limits(Limits { line: 64, event: 10 });
    decoder.push(chunk.clone());
    assert!(decoder.advance().unwrap());
    assert_eq!(decoder.ahead(), Some(b"data: 2345".as_slice()));
    decoder.skip(17);
    assert!(chunk.is_unique(), "it goes with its last byte");
    assert_eq!(decoder.ahead(), None);
}
