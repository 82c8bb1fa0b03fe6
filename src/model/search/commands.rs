//! The commands of a search.

use super::{setters, texts};
use crate::model::Extra;
use crate::model::macros::{open_enum, wire_struct};

wire_struct! {
    /// What a search is to do: a list of each kind of command.
    #[derive(Default)]
    pub struct SearchCommands {
        /// Search the web.
        optional search_query: Vec<SearchQuery>,
        /// Search for images.
        optional image_query: Vec<SearchQuery>,
        /// Open pages.
        optional open: Vec<OpenReference>,
        /// Follow links.
        optional click: Vec<ClickLink>,
        /// Find text on pages.
        optional find: Vec<FindText>,
        /// Look at pages of documents.
        optional screenshot: Vec<PageScreenshot>,
        /// Look up prices.
        optional finance: Vec<FinanceQuery>,
        /// Look up the weather.
        optional weather: Vec<WeatherQuery>,
        /// Look up games and tables.
        optional sports: Vec<SportsQuery>,
        /// Look up times.
        optional time: Vec<TimeQuery>,
        /// How long the output is.
        optional response_length: Option<ResponseLength>,
    }
}

impl SearchCommands {
    /// No commands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command to the list of its kind.
    pub fn push(&mut self, command: impl Into<SearchCommand>) {
        match command.into() {
            SearchCommand::Search(command) => self.search_query.push(command),
            SearchCommand::Images(command) => self.image_query.push(command),
            SearchCommand::Open(command) => self.open.push(command),
            SearchCommand::Click(command) => self.click.push(command),
            SearchCommand::Find(command) => self.find.push(command),
            SearchCommand::Screenshot(command) => self.screenshot.push(command),
            SearchCommand::Finance(command) => self.finance.push(command),
            SearchCommand::Weather(command) => self.weather.push(command),
            SearchCommand::Sports(command) => self.sports.push(command),
            SearchCommand::Time(command) => self.time.push(command),
        }
    }
}

impl<C: Into<SearchCommand>> Extend<C> for SearchCommands {
    fn extend<I: IntoIterator<Item = C>>(&mut self, commands: I) {
        commands.into_iter().for_each(|command| self.push(command));
    }
}

impl<C: Into<SearchCommand>> FromIterator<C> for SearchCommands {
    fn from_iter<I: IntoIterator<Item = C>>(commands: I) -> Self {
        let mut all = Self::new();
        all.extend(commands);
        all
    }
}

/// One thing that a search is to do.
///
/// A [`SearchQuery`] alone stands for [`Search`](Self::Search).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchCommand {
    /// Search the web.
    Search(SearchQuery),
    /// Search for images.
    Images(SearchQuery),
    /// Open a page.
    Open(OpenReference),
    /// Follow a link.
    Click(ClickLink),
    /// Find text on a page.
    Find(FindText),
    /// Look at a page of a document.
    Screenshot(PageScreenshot),
    /// Look up a price.
    Finance(FinanceQuery),
    /// Look up the weather.
    Weather(WeatherQuery),
    /// Look up games or tables.
    Sports(SportsQuery),
    /// Look up the time.
    Time(TimeQuery),
}

/// `From<payload>` for each arm.
macro_rules! from_commands {
    ($($payload:ident => $arm:ident),+ $(,)?) => {$(
        impl From<$payload> for SearchCommand {
            fn from(command: $payload) -> Self {
                Self::$arm(command)
            }
        }
    )+};
}

from_commands! {
    SearchQuery => Search,
    OpenReference => Open,
    ClickLink => Click,
    FindText => Find,
    PageScreenshot => Screenshot,
    FinanceQuery => Finance,
    WeatherQuery => Weather,
    SportsQuery => Sports,
    TimeQuery => Time,
}

wire_struct! {
    /// Searches the web, or for images.
    pub struct SearchQuery {
        /// The words.
        required q: String,
        /// How old results may be, in days.
        optional recency: Option<u64>,
        /// Where to look; an empty list is written, `None` is not.
        optional domains: Option<Vec<String>>,
    }
}

impl SearchQuery {
    /// Searches for these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self { q: words.into(), recency: None, domains: None, extra: Extra::new() }
    }

    setters! {
        /// How old results may be, in days.
        recency: u64, days => days;
        /// Where to look.
        domains: impl IntoIterator<Item = impl Into<String>>, domains => texts(domains);
    }
}

wire_struct! {
    /// Opens a page.
    pub struct OpenReference {
        /// The page: what an earlier output calls it, or its URL.
        required ref_id: String,
        /// The line to begin at.
        optional lineno: Option<u64>,
    }
}

impl OpenReference {
    /// Opens `page`: what an earlier output calls it, or its URL.
    #[must_use]
    pub fn new(page: impl Into<String>) -> Self {
        Self { ref_id: page.into(), lineno: None, extra: Extra::new() }
    }

    /// The line to begin at.
    #[must_use]
    pub fn line(mut self, number: u64) -> Self {
        self.lineno = Some(number);
        self
    }
}

wire_struct! {
    /// Follows a link.
    pub struct ClickLink {
        /// The page that it is on.
        required ref_id: String,
        /// The number of the link there.
        required id: u64,
    }
}

impl ClickLink {
    /// Follows the link `id` on `page`.
    #[must_use]
    pub fn new(page: impl Into<String>, id: u64) -> Self {
        Self { ref_id: page.into(), id, extra: Extra::new() }
    }
}

wire_struct! {
    /// Finds text on a page.
    pub struct FindText {
        /// The page.
        required ref_id: String,
        /// The text.
        required pattern: String,
    }
}

impl FindText {
    /// Finds `pattern` on `page`.
    #[must_use]
    pub fn new(page: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self { ref_id: page.into(), pattern: pattern.into(), extra: Extra::new() }
    }
}

wire_struct! {
    /// Looks at a page of a document.
    pub struct PageScreenshot {
        /// The document.
        required ref_id: String,
        /// The number of the page, from 0.
        required pageno: u64,
    }
}

impl PageScreenshot {
    /// Looks at the page `number` of `document`, from 0.
    #[must_use]
    pub fn new(document: impl Into<String>, number: u64) -> Self {
        Self { ref_id: document.into(), pageno: number, extra: Extra::new() }
    }
}

wire_struct! {
    /// Looks up a price.
    pub struct FinanceQuery {
        /// The symbol.
        required ticker: String,
        /// What it is a symbol of.
        required kind as "type": FinanceKind,
        /// Where it is traded.
        optional market: Option<String>,
    }
}

impl FinanceQuery {
    /// Looks up the price of `ticker`.
    #[must_use]
    pub fn new(ticker: impl Into<String>, kind: FinanceKind) -> Self {
        Self { ticker: ticker.into(), kind, market: None, extra: Extra::new() }
    }

    setters! {
        /// Where it is traded.
        market: impl Into<String>, market => market.into();
    }
}

open_enum! {
    /// What has a price.
    pub enum FinanceKind {
        /// A share.
        Equity = "equity",
        /// A fund.
        Fund = "fund",
        /// A cryptocurrency.
        Crypto = "crypto",
        /// An index.
        Index = "index",
    }
}

wire_struct! {
    /// Looks up the weather.
    pub struct WeatherQuery {
        /// The place.
        required location: String,
        /// The first day, as `YYYY-MM-DD`.
        optional start: Option<String>,
        /// How many days.
        optional duration: Option<u64>,
    }
}

impl WeatherQuery {
    /// Looks up the weather at `location`.
    #[must_use]
    pub fn new(location: impl Into<String>) -> Self {
        Self { location: location.into(), start: None, duration: None, extra: Extra::new() }
    }

    setters! {
        /// The first day, as `YYYY-MM-DD`.
        start: impl Into<String>, day => day.into();
        /// How many days.
        duration: u64, days => days;
    }
}

wire_struct! {
    /// Looks up games or tables.
    pub struct SportsQuery {
        /// `sports`; some servers ask for it.
        optional tool: Option<String>,
        /// What to look up.
        required function as "fn": SportsFunction,
        /// In which league.
        required league: SportsLeague,
        /// Of this team.
        optional team: Option<String>,
        /// Against this one.
        optional opponent: Option<String>,
        /// The first day, as `YYYY-MM-DD`.
        optional date_from: Option<String>,
        /// The last day, as `YYYY-MM-DD`.
        optional date_to: Option<String>,
        /// The most games that are given.
        optional num_games: Option<u64>,
        /// The language, such as `en-GB`.
        optional locale: Option<String>,
    }
}

impl SportsQuery {
    /// Looks up the games of `league`.
    #[must_use]
    pub fn schedule(league: SportsLeague) -> Self {
        Self::new(SportsFunction::Schedule, league)
    }

    /// Looks up the table of `league`.
    #[must_use]
    pub fn standings(league: SportsLeague) -> Self {
        Self::new(SportsFunction::Standings, league)
    }

    fn new(function: SportsFunction, league: SportsLeague) -> Self {
        Self {
            tool: None,
            function,
            league,
            team: None,
            opponent: None,
            date_from: None,
            date_to: None,
            num_games: None,
            locale: None,
            extra: Extra::new(),
        }
    }

    setters! {
        /// The name of the tool, `sports`; some servers ask for it.
        tool: impl Into<String>, tool => tool.into();
        /// Of this team.
        team: impl Into<String>, team => team.into();
        /// Against this one.
        opponent: impl Into<String>, team => team.into();
        /// The first day, as `YYYY-MM-DD`.
        date_from: impl Into<String>, day => day.into();
        /// The last day, as `YYYY-MM-DD`.
        date_to: impl Into<String>, day => day.into();
        /// The most games that are given.
        num_games: u64, count => count;
        /// The language, such as `en-GB`.
        locale: impl Into<String>, locale => locale.into();
    }
}

open_enum! {
    /// What to look up of a league.
    pub enum SportsFunction {
        /// Its games.
        Schedule = "schedule",
        /// Its table.
        Standings = "standings",
    }
}

open_enum! {
    /// A league.
    pub enum SportsLeague {
        /// Basketball, North America.
        Nba = "nba",
        /// Basketball, North America, women.
        Wnba = "wnba",
        /// American football.
        Nfl = "nfl",
        /// Ice hockey, North America.
        Nhl = "nhl",
        /// Baseball, North America.
        Mlb = "mlb",
        /// Football, England.
        Epl = "epl",
        /// Basketball of colleges, men.
        Ncaamb = "ncaamb",
        /// Basketball of colleges, women.
        Ncaawb = "ncaawb",
        /// Cricket, India.
        Ipl = "ipl",
    }
}

wire_struct! {
    /// Looks up the time.
    pub struct TimeQuery {
        /// Where, by its distance from UTC, such as `+03:00`.
        required utc_offset: String,
    }
}

impl TimeQuery {
    /// Looks up the time at this distance from UTC, such as `+03:00`.
    #[must_use]
    pub fn new(utc_offset: impl Into<String>) -> Self {
        Self { utc_offset: utc_offset.into(), extra: Extra::new() }
    }
}

open_enum! {
    /// How long the output of a search is.
    pub enum ResponseLength {
        /// Short.
        Short = "short",
        /// The usual.
        Medium = "medium",
        /// Long.
        Long = "long",
    }
}
