//! One page of a list.

use serde_json::Value;

use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params::{Query, within};

/// What a query says of the page it wants.
#[derive(Debug)]
pub(super) struct Page {
    limit: usize,
    ascending: bool,
    after: Option<String>,
    before: Option<String>,
}

impl Page {
    /// Of 20 items, or of 100 at most: what most lists have.
    pub(super) fn new(query: &Query) -> Result<Self, ApiError> {
        Self::with(query, 20, 100)
    }

    /// Of so many items as a rule, and of so many at most.
    pub(super) fn with(query: &Query, usual: u64, most: u64) -> Result<Self, ApiError> {
        let limit = within("limit", query.number("limit")?.unwrap_or(usual), 1..=most)?;
        let ascending = match query.get("order") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => {
                let why = "Invalid value for 'order': supported values are 'asc' and 'desc'.";
                return Err(ApiError::invalid_value("order", why));
            }
        };
        let id = |name| query.get(name).filter(|id| !id.is_empty()).map(str::to_owned);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Self { limit, ascending, after: id("after"), before: id("before") })
    }

    /// Everything, oldest first.
    pub(super) fn all() -> Self {
        Self { limit: usize::MAX, ascending: true, after: None, before: None }
    }

    /// The page out of all `items`, which come oldest first.
    pub(super) fn of(&self, items: &[Value]) -> Result<Json, ApiError> {
        let mut items: Vec<&Value> = items.iter().collect();
        if !self.ascending {
            items.reverse();
        }
        let place = |items: &[&Value], param, id: &str| {
            items
                .iter()
                .position(|item| item.get("id").is_some_and(|known| known == id))
                .ok_or_else(|| {
                    ApiError::invalid_value(param, format!("No item with id '{id}' in this list."))
                })
        };
        if let Some(id) = &self.after {
            let last = place(&items, "after", id)?;
            items.drain(..=last);
        }
        if let Some(id) = &self.before {
            let first = place(&items, "before", id)?;
            items.truncate(first);
        }
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let id = |item: Option<&&Value>| item.and_then(|item| item.get("id")).cloned();
        Ok(object! {
            "object": "list",
            "first_id": id(items.first()),
            "last_id": id(items.last()),
            "has_more": has_more,
            "data": items.iter().map(|item| Json::from((*item).clone())).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(query: &str) -> Result<(Vec<u64>, Value), String> {
        let items: Vec<_> = (0..5).map(|n| json!({"id": format!("i{n}"), "n": n})).collect();
        let page = Page::new(&Query::new(query)).and_then(|page| page.of(&items));
        let page = page.map_err(|error| error.body().compact())?;
        let page: Value = serde_json::from_str(&page.compact()).unwrap();
        let data = page["data"].as_array().unwrap();
        Ok((data.iter().map(|item| item["n"].as_u64().unwrap()).collect(), page))
    }

    #[test]
    fn pages_are_cut_out_of_the_whole() {
        let numbers = |query| page(query).unwrap().0;
        assert_eq!(numbers(""), [4, 3, 2, 1, 0]);
        assert_eq!(numbers("order=asc&limit=2"), [0, 1]);
        assert_eq!(numbers("order=asc&after=i1"), [2, 3, 4]);
        assert_eq!(numbers("after=i1"), [0]);
        assert_eq!(numbers("before=i1&limit=2"), [4, 3]);
        assert_eq!(numbers("after=i4&before=i1"), [3, 2]);
        assert_eq!(numbers("after=i0"), [0; 0]);
        let (_, first) = page("limit=3").unwrap();
        assert_eq!((&first["first_id"], &first["last_id"]), (&json!("i4"), &json!("i2")));
        assert_eq!(first["has_more"], true);
        let (_, last) = page("limit=3&after=i2").unwrap();
        assert_eq!(last["has_more"], false);
        assert_eq!(page("after=i0").unwrap().1["first_id"], Value::Null);
    }

    #[test]
    fn bad_pages_are_refused() {
        for (query, said) in [
            ("limit=0", "integer_below_min_value"),
            ("limit=101", "integer_above_max_value"),
            ("limit=x", "invalid_type"),
            ("order=up", "\"order\""),
            ("after=nope", "\"after\""),
            ("before=nope", "\"before\""),
        ] {
            let error = page(query).unwrap_err();
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}
