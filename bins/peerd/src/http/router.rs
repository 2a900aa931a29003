//! One table from method and path to what answers.
//!
//! The path is split at its slashes first and decoded afterwards, so an encoded slash stays inside its
//! segment. Nothing is normalised: a path with empty segments or dots is simply not in the table.

use http::header::HeaderValue;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// A table of routes. `R` says what answers, usually an enum.
#[derive(Clone, Debug)]
pub struct Router<R> {
    paths: Vec<Path<R>>,
}

#[derive(Clone, Debug)]
struct Path<R> {
    segments: Vec<Segment>,
    methods: Vec<(Method, R)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Parameter(&'static str),
}

/// What the table says about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'r, R> {
    /// This answers.
    Found(&'r R, Params),
    /// The path is known and the method is not; what `Allow` says (RFC 9110 §10.2.1).
    MethodNotAllowed(HeaderValue),
    /// No such path.
    NotFound,
}

/// The decoded segments of a path that its pattern names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The segment of this name; empty if the pattern has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

impl<R> Default for Router<R> {
    fn default() -> Self {
        Self { paths: Vec::new() }
    }
}

impl<R: Clone> Router<R> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route for GET and HEAD.
    #[must_use]
    pub fn get(self, pattern: &'static str, route: R) -> Self {
        self.on(Method::GET, pattern, route.clone()).on(Method::HEAD, pattern, route)
    }

    /// Adds a route. In `pattern`, `{name}` stands for any one segment that is not empty.
    #[must_use]
    pub fn on(mut self, method: Method, pattern: &'static str, route: R) -> Self {
        let segments: Vec<_> = pattern.split('/').skip(1).map(Segment::parse).collect();
        match self.paths.iter_mut().find(|path| path.segments == segments) {
            Some(path) => path.methods.push((method, route)),
            None => self.paths.push(Path { segments, methods: vec![(method, route)] }),
        }
        self
    }
}

impl<R> Router<R> {
    /// Everything in the table, as method and pattern.
    pub fn table(&self) -> Vec<(Method, String)> {
        let methods = |path: &Path<R>| {
            let pattern = path.pattern();
            path.methods.iter().map(|(method, _)| (method.clone(), pattern.clone())).collect::<Vec<_>>()
        };
        self.paths.iter().flat_map(methods).collect()
    }

    /// Looks a request up.
    pub fn find(&self, method: &Method, uri: &Uri) -> Match<'_, R> {
        let Some((path, params)) = self.path(uri.path()) else { return Match::NotFound };
        match path.methods.iter().find(|(known, _)| known == method) {
            Some((_, route)) => Match::Found(route, params),
            None => Match::MethodNotAllowed(path.allow()),
        }
    }

    fn path(&self, path: &str) -> Option<(&Path<R>, Params)> {
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        // A literal is more than a parameter: `/items/new` wins over `/items/{id}` in whatever order they
        // were added.
        let matches = self.paths.iter().filter_map(|path| Some((path, path.params(&segments)?)));
        matches.min_by_key(|(path, _)| path.segments.iter().filter(|segment| segment.is_parameter()).count())
    }
}

impl<R> Path<R> {
    fn params(&self, segments: &[&str]) -> Option<Params> {
        if segments.len() != self.segments.len() {
            return None;
        }
        let mut params = Params::default();
        for (pattern, segment) in self.segments.iter().zip(segments) {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            match pattern {
                Segment::Literal(literal) if *literal == decoded => {}
                Segment::Parameter(name) if !decoded.is_empty() => {
                    params.0.push((name, decoded.into_owned()));
                }
                _ => return None,
            }
        }
        Some(params)
    }

    fn pattern(&self) -> String {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Parameter(name) => format!("/{{{name}}}"),
        };
        self.segments.iter().map(segment).collect()
    }

    fn allow(&self) -> HeaderValue {
        let methods: Vec<_> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        HeaderValue::from_str(&methods.join(", ")).expect("method names are tokens")
    }
}

impl Segment {
    fn parse(text: &'static str) -> Self {
        match text.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => Self::Parameter(name),
            None => Self::Literal(text),
        }
    }

    fn is_parameter(&self) -> bool {
        matches!(self, Self::Parameter(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<&'static str> {
        Router::new()
            .get("/items", "list")
            .get("/items/{id}", "item")
            .get("/items/{id}/file", "file")
            .get("/items/special", "special")
            .on(Method::POST, "/items", "create")
    }

    fn find(method: &Method, path: &'static str) -> Match<'static, &'static str> {
        let router: &'static Router<_> = Box::leak(Box::new(router()));
        router.find(method, &Uri::from_static(path))
    }

    #[test]
    fn paths_lead_to_routes_and_segments_are_decoded_one_by_one() {
        for (path, route, id) in [
            ("/items", "list", ""),
            ("/items?q=a/b", "list", ""),
            ("/items/s:abc", "item", "s:abc"),
            ("/items/s%3Aabc/file", "file", "s:abc"),
            ("/items/a%2F..%2Fb/file", "file", "a/../b"),
            ("/items/special", "special", ""),
            ("http://host/items/x", "item", "x"),
        ] {
            match find(&Method::GET, path) {
                Match::Found(found, params) => assert_eq!((*found, params.get("id")), (route, id), "{path}"),
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn nothing_is_normalised_into_a_route() {
        for path in
            ["/", "//items", "/items/", "/items//file", "/items/a/b", "/x/../items", "/items/%ff", "/items/%"]
        {
            let found = find(&Method::GET, path);
            let is_percent_literal = path == "/items/%";
            assert_eq!(found == Match::NotFound, !is_percent_literal, "{path}: {found:?}");
        }
    }

    #[test]
    fn a_known_path_names_the_methods_it_has() {
        assert_eq!(
            find(&Method::DELETE, "/items"),
            Match::MethodNotAllowed(HeaderValue::from_static("GET, HEAD, POST"))
        );
        assert_eq!(find(&Method::DELETE, "/nowhere"), Match::NotFound);
    }
}
