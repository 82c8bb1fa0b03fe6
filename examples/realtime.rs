//! One turn of a realtime conversation, in text or in audio.
//!
//! ```text
//! cargo run --example realtime -- "Why is the sky blue?"             # text in, text out
//! cargo run --example realtime -- --out answer.wav "Sing."           # text in, audio out
//! cargo run --example realtime -- --in answer.wav --out again.wav    # audio in, audio out
//! ```
//!
//! Audio is that of WAV files with 16 bits a sample, 24,000 samples a second and one channel. What is
//! said in it is printed.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tower_openai::env::{EnvSource, ProcessEnv};
use tower_openai::model::realtime::codex::RealtimeAudioFrame;
use tower_openai::model::realtime::{
    AudioFormat, AudioInput, ClientEvent, OutputModality, ServerEvent, Session, Transcription,
};
use tower_openai::services::{RealtimeEvents, RealtimeRequest, RealtimeWriter};
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, Error};

const MODEL: &str = "gpt-realtime";

const USAGE: &str = "\
usage: realtime [--in WAV] [--out WAV] [PROMPT...]

Says PROMPT, or the audio of a WAV file, and prints the answer. With --out it is
audio too, and goes to that file.

OPENAI_API_KEY or OPENAI_BASE_URL choose the API; without them an embedded
server answers.
";

/// Samples of one event: a tenth of a second.
const PIECE: usize = 2_400;

#[derive(Default)]
struct Arguments {
    input: Option<OsString>,
    output: Option<OsString>,
    prompt: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            // A reader that has seen enough is no error.
            let _ = show(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("realtime: {error}");
            return ExitCode::from(2);
        }
    };
    match talk(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever read the answer has had enough.
            let output = error.downcast_ref::<io::Error>();
            if output.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("realtime: {error}");
            for cause in Error::from(error).chain().skip(1) {
                eprintln!("  because {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What the command line says; `None` if it asks for help.
fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("in") => arguments.input = Some(parser.value()?),
            Long("out") => arguments.output = Some(parser.value()?),
            Short('h') | Long("help") => return Ok(None),
            Value(word) => arguments.prompt.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    if arguments.input.is_some() && !arguments.prompt.is_empty() {
        return Err("say PROMPT or the audio of --in, not both".into());
    }
    Ok(Some(arguments))
}

async fn talk(arguments: Arguments) -> Result<(), BoxError> {
    // Held to the end: dropping the embedded server stops it.
    let (client, _server) = connect().await?;
    let modality =
        if arguments.output.is_some() { OutputModality::Audio } else { OutputModality::Text };
    let mut input = AudioInput::default().without_turn_detection();
    input.format = Some(AudioFormat::pcm());
    let mut transcription = Transcription::default();
    transcription.model = Some("gpt-4o-mini-transcribe".into());
    input.transcription = Some(transcription);
    let session = Session::new()
        .instructions("Answer in one short sentence.")
        .output_modality(modality)
        .audio_input(input);

    let request = RealtimeRequest::new(MODEL).session(session);
    let (mut events, writer, driver) = client.realtime().send(request).await?.driven();
    let driver = tokio::spawn(driver);
    match &arguments.input {
        Some(file) => say_audio(&writer, file).await?,
        None => {
            let prompt = match arguments.prompt.join(" ") {
                prompt if prompt.is_empty() => "Hello! What can you do?".to_owned(),
                prompt => prompt,
            };
            writer.send(&ClientEvent::text(prompt)).await?;
        }
    }
    writer.send(&ClientEvent::response()).await?;
    let samples = hear(&mut events).await?;
    if let Some(file) = &arguments.output {
        write_wav(file, &samples)?;
        let seconds = samples.len() as f64 / f64::from(AudioFormat::SAMPLE_RATE);
        show(&format!("{seconds:.1} s of audio\n"))?;
    }
    events.close().await?;
    drop((events, writer));
    driver.await??;
    Ok(())
}

/// The client that the environment asks for, or one for an embedded server.
async fn connect() -> Result<(Client, Option<Server>), BoxError> {
    for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL"] {
        if ProcessEnv.non_blank(name)?.is_some() {
            return Ok((Client::from_env()?, None));
        }
    }
    let server = Server::start().await?;
    // A proxy of the environment is not the way to it.
    let client = Client::builder().base_url(server.base_url()).without_proxy().build()?;
    Ok((client, Some(server)))
}

/// Says the audio of a file, piece by piece, and that it is all.
async fn say_audio(writer: &RealtimeWriter, file: &OsString) -> Result<(), BoxError> {
    let mut wav = hound::WavReader::open(file)
        .map_err(|error| format!("{}: {error}", file.to_string_lossy()))?;
    let spec = wav.spec();
    if (spec.bits_per_sample, spec.sample_format) != (16, hound::SampleFormat::Int) {
        return Err(format!("{}: its samples are not of 16 bits", file.to_string_lossy()).into());
    }
    let samples = wav.samples::<i16>().collect::<Result<Vec<_>, _>>()?;
    for piece in samples.chunks(PIECE) {
        let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        // Another rate or more channels are refused here.
        let frame =
            RealtimeAudioFrame::new(STANDARD.encode(bytes), spec.sample_rate, spec.channels);
        writer.send_frame(frame).await?;
    }
    writer.send(&ClientEvent::commit()).await?;
    Ok(())
}

/// Prints what is said until the answer is over, and gives its samples.
async fn hear(events: &mut RealtimeEvents) -> Result<Vec<i16>, BoxError> {
    let mut samples = Vec::new();
    while let Some(event) = events.next().await {
        let event = event?;
        if let Some(text) = event.output_text_delta() {
            show(text)?;
        }
        if let Some(audio) = event.output_audio_delta() {
            let bytes = STANDARD.decode(audio)?;
            let pairs = bytes.chunks_exact(2);
            samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        }
        match event {
            ServerEvent::InputAudioTranscriptionCompleted(event) => {
                show(&format!("heard: {}\n", event.transcript))?;
            }
            ServerEvent::ResponseDone(_) => {
                show("\n")?;
                return Ok(samples);
            }
            ServerEvent::Error(error) => {
                let message = error.message().unwrap_or("the server says no more");
                return Err(format!("an error of the server: {message}").into());
            }
            _ => {}
        }
    }
    Err("the conversation ended before the answer".into())
}

/// Shows text at once; `print!` would wait for the end of the line.
fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn write_wav(file: &OsString, samples: &[i16]) -> Result<(), BoxError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: AudioFormat::SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(file, spec)?;
    for sample in samples {
        wav.write_sample(*sample)?;
    }
    wav.finalize()?;
    Ok(())
}
