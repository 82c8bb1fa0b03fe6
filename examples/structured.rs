//! An answer as a value: JSON that follows a schema, read into a struct of one's own.
//!
//! ```text
//! cargo run --example structured
//! ```
//!
//! The schema is part of the request, and the server holds the model to it. Two answers do not follow
//! it, and each is told apart here: one that was cut short, and a refusal. The loopback server answers
//! with a sample that fits any schema.

use serde::Deserialize;
use serde_json::json;
use tower_openai::model::{
    ContentPart, Response, ResponseItem, Schema, TextControls, TextFormat, Verbosity,
};
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client};

#[derive(Debug, Deserialize)]
struct Recipe {
    title: String,
    minutes: u32,
    difficulty: Difficulty,
    ingredients: Vec<Ingredient>,
    /// What goes with it, if anything does.
    drink: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Difficulty {
    Easy,
    Hard,
}

#[derive(Debug, Deserialize)]
struct Ingredient {
    name: String,
    grams: f64,
}

impl Recipe {
    /// What serde reads above, for the model. A schema from elsewhere, such as one of the crate
    /// `schemars`, goes in by `RawJson::from_value`.
    fn schema() -> Schema {
        // `closed`: all of these and no others, at each level.
        let ingredient = Schema::object()
            .property("name", Schema::string())
            .property("grams", Schema::number())
            .closed();
        Schema::object()
            .property("title", Schema::string())
            .property("minutes", Schema::integer().keyword("minimum", json!(5)))
            .property("difficulty", Schema::string().one_of(["easy", "hard"]))
            .property("ingredients", Schema::array(ingredient))
            .property("drink", Schema::string().description("What goes with it").nullable())
            .closed()
    }

    fn read(response: &Response) -> Result<Self, BoxError> {
        if let Some(words) = refusal(response) {
            return Err(format!("the model refuses: {words}").into());
        }
        Ok(serde_json::from_str(&response.output_text())?)
    }
}

/// What the model says in place of an answer. No schema holds it to a form.
fn refusal(response: &Response) -> Option<&str> {
    let messages = response.output.iter().filter_map(ResponseItem::as_message);
    let mut parts = messages.flat_map(|message| message.content.parts());
    parts.find_map(|part| match part {
        ContentPart::Refusal(part) => Some(part.refusal.as_str()),
        _ => None,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    // For the real API: Client::from_env()?
    let client = Client::builder().base_url(server.base_url()).without_proxy().build()?;

    let mut text = TextControls::default();
    text.format = Some(TextFormat::json_schema("recipe", Recipe::schema()));
    text.verbosity = Some(Verbosity::Low);
    let request = ResponsesRequest::new("gpt-5.2", "What can I cook from potatoes?").text(text);

    // Half of a JSON text is none: an answer that was cut short is an error of this line.
    let response = client.responses().stream_request(request).await?.final_response().await?;
    let recipe = Recipe::read(&response)?;

    println!("{} ({:?}, {} minutes)", recipe.title, recipe.difficulty, recipe.minutes);
    for Ingredient { name, grams } in &recipe.ingredients {
        println!("- {grams} g {name}");
    }
    println!("with {}", recipe.drink.as_deref().unwrap_or("nothing"));
    Ok(())
}
