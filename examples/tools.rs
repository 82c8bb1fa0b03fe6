//! A function of the program that the model calls: it is asked, calls, is told, and answers.
//!
//! ```text
//! cargo run --example tools
//! ```
//!
//! One question takes two requests here. The answer to the first is a call of `get_weather` in place
//! of text. The call goes back with its output behind it, and the answer to that is text. A model
//! calls what it thinks it needs; the loopback server calls what the question names.

use serde::Deserialize;
use tower_openai::model::{FunctionCall, FunctionTool, ResponseItem, Schema};
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client};

/// A model may call again and again: somebody has to end it.
const MAX_REQUESTS: usize = 8;

/// The arguments of `get_weather`, as the program reads them.
#[derive(Deserialize)]
struct GetWeather {
    city: String,
    unit: String,
}

/// `get_weather`, as the model sees it.
fn get_weather() -> FunctionTool {
    let parameters = Schema::object()
        .property("city", Schema::string().description("Its name, without the country"))
        .property("unit", Schema::string().one_of(["celsius", "fahrenheit"]))
        // All of these and no others: what `strict` asks for.
        .closed();
    FunctionTool::new("get_weather", "The weather in a city, as it is now")
        .parameters(parameters)
        .strict(true)
}

/// Carries a call out. What is wrong with it is told to the model, which may do better then: at times
/// a model invents functions, and without `strict` its arguments are not always those of the schema.
fn carry_out(call: &FunctionCall) -> String {
    match call.name.as_str() {
        "get_weather" => match call.parse_arguments::<GetWeather>() {
            Ok(GetWeather { city, unit }) => format!("rain in {city}, 12 degrees {unit}"),
            Err(error) => format!("error: the arguments cannot be read: {error}"),
        },
        other => format!("error: there is no function {other}"),
    }
}

/// Asks until the answer has no more calls in it, and gives its text.
async fn answer(client: &Client, mut request: ResponsesRequest) -> Result<String, BoxError> {
    for _ in 0..MAX_REQUESTS {
        // Calls count once they are whole, so the stream is read to its end first.
        let stream = client.responses().stream_request(request.clone()).await?;
        let response = stream.final_response().await?;
        let mut outputs = Vec::new();
        for call in response.output.iter().filter_map(ResponseItem::as_function_call) {
            let output = carry_out(call);
            println!("{}({}) = {output}", call.name, call.arguments);
            // The id tells which call this belongs to: there may be several in one answer.
            outputs.push(ResponseItem::function_call_output(&*call.call_id, output));
        }
        if outputs.is_empty() {
            return Ok(response.output_text());
        }
        // All that the model made goes back, its reasoning included, and then what it asked for.
        request = request.extend(response.output).extend(outputs);
    }
    Err(format!("no answer within {MAX_REQUESTS} requests").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    // For the real API: Client::from_env()?
    let client = Client::builder().base_url(server.base_url()).without_proxy().build()?;

    let question = "Use get_weather for Bern: do I need an umbrella?";
    let request = ResponsesRequest::new("gpt-5.2", question).tool(get_weather());
    println!("{}", answer(&client, request).await?);
    println!("{} requests", server.received());
    Ok(())
}
