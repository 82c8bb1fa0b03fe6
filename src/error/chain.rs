//! Every cause of an error, one after another.

use std::error::Error;

/// The causes of an error, outermost first.
///
/// A cause that only repeats the line before it, or its beginning, is left out.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: Option<&'a (dyn Error + 'static)>,
    last: String,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(first: &'a (dyn Error + 'static)) -> Self {
        Self { next: Some(first), last: String::new() }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a (dyn Error + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let current = self.next?;
            self.next = current.source();
            let line = match current.downcast_ref::<super::Error>() {
                // Without the facts that its `Display` adds.
                Some(own) => own.message().to_owned(),
                None => current.to_string(),
            };
            if !self.last.starts_with(&line) || self.last.is_empty() {
                self.last = line;
                return Some(current);
            }
        }
    }
}
