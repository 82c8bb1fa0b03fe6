//! The request that is kept for another attempt.

use http::{Extensions, Request};

use crate::extensions::{Call, Deadline, Origin};

/// A request on its way through tower's `Retry`: the one that is sent, or the copy that waits.
pub(super) struct Kept<B> {
    request: Request<B>,
    /// What belongs into the copy's extensions; empty once it is whole.
    apart: Apart,
}

impl<B> Kept<B> {
    #[inline]
    pub(super) const fn new(request: Request<B>) -> Self {
        Self { request, apart: Apart { call: None, origin: None, deadline: None } }
    }

    /// The request to send; the copy's was made whole by [`request_mut`](Self::request_mut).
    #[inline]
    pub(super) fn into_request(self) -> Request<B> {
        self.request
    }

    /// The request, made whole.
    pub(super) fn request_mut(&mut self) -> &mut Request<B> {
        self.apart.put_back(self.request.extensions_mut());
        &mut self.request
    }

    /// A copy of a request that is whole.
    #[inline]
    pub(super) fn copy(&self) -> Self
    where
        B: Clone,
    {
        let sent = &self.request;
        let Some(apart) = Apart::all_of(sent.extensions()) else {
            return Self::new(sent.clone());
        };
        let mut request = Request::new(sent.body().clone());
        request.method_mut().clone_from(sent.method());
        request.uri_mut().clone_from(sent.uri());
        *request.version_mut() = sent.version();
        request.headers_mut().clone_from(sent.headers());
        Self { request, apart }
    }
}

/// Extensions outside their map, whose copy would cost an allocation for each of them and two for
/// itself: most copies of a request are never sent.
///
/// These are the ones that this crate's own stack adds to each request.
struct Apart {
    call: Option<Call>,
    origin: Option<Origin>,
    deadline: Option<Deadline>,
}

impl Apart {
    /// `None` if there are others, or none at all.
    #[inline]
    fn all_of(extensions: &Extensions) -> Option<Self> {
        let (call, origin) = (extensions.get(), extensions.get());
        let deadline = extensions.get().copied();
        let usual = [call.is_some(), origin.is_some(), deadline.is_some()];
        let usual = usual.into_iter().filter(|is_there| *is_there).count();
        let all = !extensions.is_empty() && extensions.len() == usual;
        all.then(|| Self { call: call.cloned(), origin: origin.cloned(), deadline })
    }

    fn put_back(&mut self, extensions: &mut Extensions) {
        let Self { call, origin, deadline } = self;
        if let Some(call) = call.take() {
            extensions.insert(call);
        }
        if let Some(origin) = origin.take() {
            extensions.insert(origin);
        }
        if let Some(deadline) = deadline.take() {
            extensions.insert(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::extensions::Attempt;

    fn origin() -> Origin {
        Origin::of(&"https://api.example.com".parse().unwrap()).unwrap()
    }

    fn request(fill: impl FnOnce(&mut Extensions)) -> Kept<&'static str> {
        let request = Request::post("https://api.example.com/v1").version(Version::HTTP_2);
        let mut request = request.header("x-a", "1");
        fill(request.extensions_mut().unwrap());
        Kept::new(request.body("body").unwrap())
    }

    /// The head and the body are the copy's from the start.
    fn check_copy(sent: &Kept<&'static str>) -> Kept<&'static str> {
        let copy = sent.copy();
        let (one, other) = (&sent.request, &copy.request);
        assert_eq!((one.method(), one.uri()), (other.method(), other.uri()));
        assert_eq!((one.version(), one.headers()), (other.version(), other.headers()));
        assert_eq!(one.body(), other.body());
        copy
    }

    #[test]
    fn the_usual_extensions_wait_beside_the_map_and_go_back_into_it() {
        let call = Call::unary("compact", Some("gpt-5.2".to_owned()));
        let deadline = Deadline::at(tokio::time::Instant::now());
        let mut sent = request(|extensions| {
            extensions.insert(origin());
            extensions.insert(call.clone());
            extensions.insert(deadline);
        });
        let mut copy = check_copy(&sent);
        assert!(copy.request.extensions().is_empty(), "no map was copied");
        assert_eq!(sent.request_mut().extensions().len(), 3, "what was sent keeps its own");
        let whole = copy.request_mut().extensions();
        assert_eq!(whole.get(), Some(&origin()));
        assert_eq!(whole.get(), Some(&deadline));
        assert_eq!(whole.get().map(Call::endpoint), Some("compact"));
        // The same call, and not one like it: what it must not say is said to all its attempts.
        whole.get::<Call>().unwrap().keep_secret("hidden-away");
        assert_eq!(call.kept_secrets(), ["hidden-away"]);
        // Numbered, it has one that is not usual, and so has its copy for the attempt after it.
        copy.request_mut().extensions_mut().insert(Attempt::FIRST.next());
        let again = check_copy(&copy).into_whole();
        assert_eq!(again.extensions().len(), 4);
        assert_eq!(Attempt::of(again.extensions()).number(), 2);
    }

    #[test]
    fn one_of_the_usual_extensions_is_enough() {
        let sent = request(|extensions| drop(extensions.insert(origin())));
        let copy = check_copy(&sent);
        assert!(copy.request.extensions().is_empty());
        assert_eq!(copy.into_whole().extensions().get(), Some(&origin()));
    }

    #[test]
    fn a_request_with_other_extensions_is_copied_whole() {
        let sent = request(|extensions| {
            extensions.insert(origin());
            extensions.insert("of the caller's");
        });
        let whole = check_copy(&sent).into_whole();
        assert_eq!(whole.extensions().get(), Some(&"of the caller's"));
        assert_eq!(whole.extensions().get(), Some(&origin()));
        assert!(check_copy(&request(|_| {})).into_whole().extensions().is_empty());
    }

    impl<B> Kept<B> {
        fn into_whole(mut self) -> Request<B> {
            self.request_mut();
            self.into_request()
        }
    }
}
