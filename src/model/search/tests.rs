use serde_json::{Value, json};

use super::*;
use crate::model::ApproximateLocation;

fn round_trip(wire: Value) -> SearchInput {
    let input: SearchInput = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(serde_json::to_value(&input).unwrap(), wire);
    input
}

/// Every command and setting, with every field.
fn fullest() -> Value {
    json!({
        "id": "s", "model": "m", "reasoning": {"effort": "low"}, "input": "what for",
        "commands": {
            "search_query": [{"q": "a", "recency": 7, "domains": ["x.test"]}],
            "image_query": [{"q": "b"}],
            "open": [{"ref_id": "r", "lineno": 3}],
            "click": [{"ref_id": "r", "id": 17}],
            "find": [{"ref_id": "r", "pattern": "p"}],
            "screenshot": [{"ref_id": "r", "pageno": 0}],
            "finance": [{"ticker": "T", "type": "equity", "market": "USA"}],
            "weather": [{"location": "Oslo", "start": "2026-01-31", "duration": 2}],
            "sports": [{"tool": "sports", "fn": "schedule", "league": "nba", "team": "a",
                "opponent": "b", "date_from": "2026-01-01", "date_to": "2026-01-02",
                "num_games": 3, "locale": "en-US"}],
            "time": [{"utc_offset": "+03:00"}],
            "response_length": "long"
        },
        "settings": {
            "user_location": {"type": "approximate", "country": "NO", "region": "r",
                "city": "Oslo", "timezone": "Europe/Oslo"},
            "search_context_size": "high",
            "filters": {"allowed_domains": ["a.test"], "blocked_domains": ["b.test"]},
            "image_settings": {"max_results": 4, "caption": true},
            "allowed_callers": ["direct", "shell", "code_interpreter"],
            "external_web_access": false,
            "mode": "index_gated"
        },
        "max_output_tokens": 1000
    })
}

#[test]
fn every_command_and_setting_has_its_type() {
    let input = round_trip(fullest());
    // Nothing is left to `extra`, in which anything would go round.
    let text = format!("{input:?}").replace("extra: {}", "");
    assert!(
        !text.contains("extra") && !text.contains("Other") && !text.contains("Unknown"),
        "{text}"
    );
}

#[test]
fn builders_say_the_same() {
    let location = ApproximateLocation {
        country: Some("NO".into()),
        region: Some("r".into()),
        city: Some("Oslo".into()),
        timezone: Some("Europe/Oslo".into()),
        ..ApproximateLocation::default()
    };
    let filters = WebSearchFilters {
        allowed_domains: Some(vec!["a.test".into()]),
        blocked_domains: Some(vec!["b.test".into()]),
        ..WebSearchFilters::default()
    };
    let sports = SportsQuery::schedule(SportsLeague::Nba)
        .tool("sports")
        .team("a")
        .opponent("b")
        .date_from("2026-01-01")
        .date_to("2026-01-02")
        .num_games(3)
        .locale("en-US");
    let settings = SearchSettings::new()
        .user_location(location)
        .search_context_size(SearchContextSize::High)
        .filters(filters)
        .image_settings(SearchImageSettings::new().max_results(4).caption(true))
        .allowed_callers([SearchCaller::Direct, SearchCaller::Shell, SearchCaller::CodeInterpreter])
        .external_web_access(false)
        .mode(SearchMode::IndexGated);
    let input = SearchInput::new("s", "m")
        .reasoning(Reasoning::effort(crate::model::ReasoningEffort::Low))
        .input("what for")
        .command(SearchQuery::new("a").recency(7).domains(["x.test"]))
        .command(SearchCommand::Images(SearchQuery::new("b")))
        .command(OpenReference::new("r").line(3))
        .command(ClickLink::new("r", 17))
        .command(FindText::new("r", "p"))
        .command(PageScreenshot::new("r", 0))
        .command(FinanceQuery::new("T", FinanceKind::Equity).market("USA"))
        .command(WeatherQuery::new("Oslo").start("2026-01-31").duration(2))
        .commands([sports])
        .command(TimeQuery::new("+03:00"))
        .response_length(ResponseLength::Long)
        .settings(settings)
        .max_output_tokens(1000);
    assert_eq!(serde_json::to_value(&input).unwrap(), fullest());
    assert_eq!(input, serde_json::from_value(fullest()).unwrap());
}

#[test]
fn what_is_empty_is_left_out() {
    let least = json!({"id": "s", "model": "m"});
    assert_eq!(serde_json::to_value(SearchInput::new("s", "m")).unwrap(), least);
    let empty =
        SearchInput::new("s", "m").commands([] as [SearchQuery; 0]).settings(SearchSettings::new());
    assert_eq!(serde_json::to_value(empty).unwrap(), least);
    let commands: SearchCommands = [TimeQuery::new("+00:00")].into_iter().collect();
    assert_eq!(
        serde_json::to_value(commands).unwrap(),
        json!({"time": [{"utc_offset": "+00:00"}]})
    );
}

#[test]
fn what_is_not_known_is_kept() {
    let input = round_trip(json!({"id": "s", "model": "m", "new": 1,
        "commands": {"dance": [{"style": "tango"}], "response_length": "endless",
            "search_query": [{"q": "a", "new": null}],
            "finance": [{"ticker": "T", "type": "bond"}],
            "sports": [{"fn": "odds", "league": "npb"}]},
        "settings": {"mode": "dreamt", "allowed_callers": ["robot"],
            "user_location": {"type": "exact", "lat": 1.5}}}));
    let commands = input.commands.unwrap();
    assert_eq!(commands.finance[0].kind, "bond");
    assert_eq!(commands.extra.get("dance").unwrap().as_str(), r#"[{"style":"tango"}]"#);
}

#[test]
fn what_it_is_for_is_a_text_or_items() {
    let text = round_trip(json!({"id": "s", "model": "m", "input": "text"}));
    assert_eq!(text.input, Some("text".into()));
    let item = json!({"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]});
    let items = round_trip(json!({"id": "s", "model": "m", "input": [item]}));
    assert_eq!(items.input, Some(vec![ResponseItem::user("hi")].into()));
    for bad in [json!(7), json!({}), json!([{"type": "message"}])] {
        let wire = json!({"id": "s", "model": "m", "input": bad});
        assert!(serde_json::from_value::<SearchInput>(wire).is_err());
    }
}

#[test]
fn only_the_output_is_needed() {
    let read = |wire: Value| serde_json::from_value::<SearchOutput>(wire);
    let least = read(json!({"output": ""})).unwrap();
    assert_eq!((least.encrypted_output, least.results), (None, vec![]));
    let wire =
        json!({"output": "o", "encrypted_output": "secret", "results": [{"url": "u"}], "x": 1});
    let whole = read(wire.clone()).unwrap();
    assert!(!format!("{whole:?}").contains("secret"), "{whole:?}");
    assert_eq!(serde_json::to_value(&whole).unwrap(), wire);
    assert!(read(json!({"encrypted_output": "x"})).is_err());
}
