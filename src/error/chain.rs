//! Every cause of an error, one after another.

/// The causes of an error, outermost first.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: Option<&'a (dyn std::error::Error + 'static)>,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(first: &'a (dyn std::error::Error + 'static)) -> Self {
        Self { next: Some(first) }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a (dyn std::error::Error + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let current = self.next?;
        self.next = current.source();
        Some(current)
    }
}
