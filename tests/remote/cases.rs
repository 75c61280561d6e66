//! What is asked on both sides, in this order: later cases find what earlier ones have left.

/// In which form an answer is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As people read it.
    Text,
    /// As programs do.
    Json,
    /// One after the other: of commands that change nothing, or that say the same again.
    Both,
}

/// A command, and what is looked at beside what it says.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) words: Vec<String>,
    pub(crate) form: Form,
    /// What it is told on standard input.
    pub(crate) input: &'static str,
    /// Files that are there before.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Files and directories that it leaves.
    pub(crate) leaves: &'static [&'static str],
}

/// Commands that work on this machine alone.
pub(crate) const LOCAL: [&str; 6] = ["init", "build", "completions", "backup", "restore", "serve"];

const CURRENCIES: (&str, &str) = ("currencies.csv", "code,name,minor_units\nUSD,US dollar,2\nJPY,Yen,0\n");
const MORE_CURRENCIES: (&str, &str) = ("more.csv", "code,name,minor_units\nUSD,Dollar,2\nGBP,Pound,2\n");
const BROKEN: (&str, &str) = ("broken.csv", "code,name,minor_units\nUSD,US dollar,two\n");
const CURRENCY_TABLE: (&str, &str) = (
    "currency_list.toml",
    "identifier = \"currency_list\"\nkind = \"reference\"\nprimary_key = [\"code\"]\ndescription = \"Currencies by their code.\"\n\
     [[columns]]\nname = \"code\"\ntype = \"string\"\ndescription = \"ISO 4217.\"\n\
     [[columns]]\nname = \"name\"\ntype = \"string\"\ndescription = \"In English.\"\n\
     [[columns]]\nname = \"minor_units\"\ntype = \"int64\"\ndescription = \"Digits behind the point.\"\n",
);
const NOTES: (&str, &str) = (
    "notes.toml",
    "identifier = \"notes\"\nindex = [\"time_index\"]\ndescription = \"Notes by day.\"\n\
     [[columns]]\nname = \"time_index\"\ntype = \"timestamp_tz\"\ndescription = \"Day.\"\n\
     [[columns]]\nname = \"value\"\ntype = \"float64\"\nnullable = true\ndescription = \"A number.\"\n",
);
const WIDER_NOTES: (&str, &str) = (
    "wider.toml",
    "identifier = \"notes\"\nindex = [\"time_index\"]\ndescription = \"Notes by day.\"\n\
     [[columns]]\nname = \"time_index\"\ntype = \"timestamp_tz\"\ndescription = \"Day.\"\n\
     [[columns]]\nname = \"value\"\ntype = \"float64\"\nnullable = true\ndescription = \"A number.\"\n\
     [[columns]]\nname = \"remark\"\ntype = \"string\"\nnullable = true\ndescription = \"A text.\"\n",
);
const OPTIONS: (&str, &str) = ("options.json", "{\"depth\": 3}");

struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, form: Form, line: &str) -> &mut Case {
        // A word with spaces stands in single quotes.
        let mut words = Vec::new();
        for (position, part) in line.split('\'').enumerate() {
            if position % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        self.0.push(Case { words, form, input: "", files: &[], leaves: &[] });
        self.0.last_mut().unwrap()
    }

    fn both(&mut self, line: &str) {
        self.add(Form::Both, line);
    }

    fn text(&mut self, line: &str) {
        self.add(Form::Text, line);
    }

    fn json(&mut self, line: &str) {
        self.add(Form::Json, line);
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    components(&mut cases);
    tables(&mut cases);
    nodes(&mut cases);
    rows(&mut cases);
    revisions(&mut cases);
    sources(&mut cases);
    runs(&mut cases);
    backfills(&mut cases);
    searches(&mut cases);
    deletes(&mut cases);
    people(&mut cases);
    cases.0
}

fn components(cases: &mut Cases) {
    cases.both("component list");
    cases.both("component upload {component:fx_log_returns}");
    cases.text("component upload missing.wasm");
    cases.add(Form::Both, "component upload text.wasm").files = &[("text.wasm", "no component at all")];
    cases.both("component upload {component:fx_log_returns} --sha256 0000000000000000000000000000000000000000000000000000000000000000");
    cases.both("component show fx_log_returns");
    cases.both("component show fx_log_returns@0.1.0");
    cases.both("component show nothing");
    cases.both("component show fx_log_returns@9");
    cases.both("component disable fx_rolling_volatility");
    cases.both("component enable fx_rolling_volatility");
    cases.both("component remove fx_log_returns@0.1.0");
    cases.both("component remove fx_log_returns@0.1.0 --force");
    cases.both("component upload {component:fx_log_returns} --accept-new-identity --allow-stubbed-wasi");
    cases.add(Form::Both, "component upload {component:fx_log_returns} --signature odd.sig").files =
        &[("odd.sig", "no signature")];
}

fn tables(cases: &mut Cases) {
    cases.add(Form::Text, "table register currency_list.toml notes.toml").files = &[CURRENCY_TABLE, NOTES];
    cases.both("table register {fx}/contracts/fx_log_returns.toml currency_list.toml");
    cases.text("table register missing.toml");
    cases.add(Form::Both, "table register broken.toml").files = &[("broken.toml", "identifier = \"x\"\n")];
    cases.add(Form::Both, "table register wider.toml").files = &[WIDER_NOTES];
    cases.both("table list");
    cases.both("table show fx_ecb_daily_rates");
    cases.both("table show currency_list");
    cases.both("table show nothing");
    cases.both("table diff wider.toml");
    cases.both("table diff notes.toml");
    cases.add(Form::Text, "table load currency_list currencies.csv").files = &[CURRENCIES];
    cases.add(Form::Json, "table load currency_list more.csv --replace").files = &[MORE_CURRENCIES];
    cases.add(Form::Both, "table load currency_list broken.csv").files = &[BROKEN];
    cases.both("table load currency_list missing.csv");
    cases.add(Form::Both, "table load currency_list rows.odd").files = &[("rows.odd", "x")];
    cases.both("table load fx_log_returns more.csv");
    cases.both("table load currency_list currencies.csv --format csv");
    cases.text("table label notes --add daily --add notes");
    cases.json("table label notes --remove daily");
    cases.both("table label notes --remove daily");
    cases.both("table label notes --set daily,notes");
    cases.both("table label notes");
    cases.text("table describe notes --description 'Notes, one per day.' --column value='A number that somebody has noted.'");
    cases.json("table describe notes --column-label value=Number");
    cases.both("table describe notes --column nothing=x");
    cases.text("table repoint notes --to currency_list --rename-old old_notes");
    cases.text("table repoint notes --to old_notes --rename-old currency_list");
    cases.both("table repoint notes --to currency_list");
}

fn nodes(cases: &mut Cases) {
    cases.both("node list");
    cases.both("node create fx_log_returns --table fx_log_returns");
    cases.both("node create nothing --table fx_log_returns");
    cases.text("node create fx_log_returns --table fx_log_returns --config '{\"max_gap\": 5}'");
    cases.text("node create fx_log_returns --table fx_log_returns --hash-namespace ci.nightly");
    cases.both("node show fx_log_returns");
    cases.both("node show nothing");
    cases.both("node hash fx_log_returns");
    cases.text("node hash fx_log_returns --explain");
    cases.both("node hash fx_log_returns --hash-namespace other");
    cases
        .both("node hash --component fx_log_returns --config '{\"max_gap_days\": 5}' --table fx_log_returns");
    cases.both("node hash --component fx_log_returns --config '{\"max_gap_days\": \"many\"}'");
    cases.both("node graph");
    cases.both("node graph fx_log_returns");
    cases.text("node graph --format dot");
    cases.text("node graph --format mermaid");
    cases.text("node run fx_log_returns --until 1999-02-01");
    cases.json("node run fx_log_returns --until 1999-02-10");
    cases.text("node run fx_log_returns --until 1999-03-01 --debug --sample 2");
    cases.json("node run fx_log_returns --until 1999-03-10 --debug --sample 2");
    cases.both("node run fx_log_returns --until 1999-03-10");
    cases.both("node run fx_log_returns --until 1999-04-01 --dry-run --sample 3");
    cases.both("node run fx_ecb_daily_rates --until 1999-02-01 --dry-run --force --sample 3");
    cases.both("node run nothing");
    cases.both("node run nothing --dry-run");
    cases.text("node run fx_ecb_daily_rates --tree-only");
    cases
        .add(
            Form::Both,
            "node run fx_log_returns --until 1999-03-10 --options options.json --option wide=true",
        )
        .files = &[OPTIONS];
    cases.text("source revoke ecb ecb_daily_fx_rates");
    cases.text("node run fx_log_returns --until 1999-04-01");
    cases.json("node run fx_log_returns --until 1999-04-01");
    cases.text("source grant ecb ecb_daily_fx_rates");
    cases.both("node windows fx_ecb_daily_rates");
    cases.both("node windows fx_ecb_daily_rates --state failed");
    cases.both("node windows fx_rolling_volatility");
    cases.text("node set fx_ecb_daily_rates lookback=7d retries=2");
    cases.json("node set fx_ecb_daily_rates lookback=7d retries=2");
    cases.both("node set fx_ecb_daily_rates colour=red");
    cases.text("node set fx_ecb_daily_rates lookback= retries=");
    cases.both("node unpin fx_log_returns");
    cases.both("node create fx_log_returns --table fx_log_returns --pin 0000000000000000000000000000000000000000000000000000000000000000");
    cases.both(
        "node run fx_log_returns --until 1999-03-10 --no-tree --wait 1 --journal digest --progress none",
    );
    cases
        .add(Form::Both, "node run fx_log_returns --until 1999-04-01 --dry-run --statistics statistics.json")
        .files = &[("statistics.json", "[]")];
    cases.both("node run nothing --hash-namespace ci.nightly");
    cases.both("run leases");
}

fn rows(cases: &mut Cases) {
    cases.both("table read fx_ecb_daily_rates");
    cases.both("table read fx_ecb_daily_rates --limit 3 --columns rate");
    cases.both("table read fx_ecb_daily_rates --where currency=USD,JPY --start 1999-01-10 --end <1999-01-20");
    cases.both("table read fx_ecb_daily_rates --coordinate currency=USD --last");
    cases.both("table read fx_ecb_daily_rates --last");
    cases.add(Form::Both, "table read fx_ecb_daily_rates --range-map map.json").files = &[(
        "map.json",
        "[{\"coordinate\": {\"currency\": \"USD\"}, \"start_date\": \"1999-01-10\", \"end_date\": \"1999-01-15\"}]",
    )];
    cases.both("table read fx_ecb_daily_rates --where country=US");
    cases.both("table read fx_ecb_daily_rates --columns price");
    cases.both("table read nothing");
    for format in ["csv", "jsonl", "json"] {
        cases.text(&format!("table read fx_ecb_daily_rates --format {format} --limit 40"));
        cases.text(&format!("table read currency_list --format {format}"));
    }
    for (ending, leaves) in [
        ("arrow", &["rates.arrow"]),
        ("parquet", &["rates.parquet"]),
        ("csv", &["rates.csv"]),
        ("jsonl", &["rates.jsonl"]),
        ("json", &["rates.json"]),
    ] {
        cases.add(Form::Both, &format!("table read fx_ecb_daily_rates --output rates.{ending}")).leaves =
            leaves;
    }
    cases.both("table digest fx_ecb_daily_rates");
    cases.both("table digest currency_list");
    cases.both("table sql fx_ecb_daily_rates 'SELECT currency, count(*) AS n FROM fx_ecb_daily_rates GROUP BY 1 ORDER BY 1' --max-rows 5");
    cases.both("table sql fx_ecb_daily_rates 'DELETE FROM fx_ecb_daily_rates'");
    cases.both("table sql fx_ecb_daily_rates 'SELECT nothing FROM fx_ecb_daily_rates'");
    cases.both("table sql fx_ecb_daily_rates SELEC");
    cases.both("table sql notes 'SELECT count(*) AS n FROM notes' --timeout 5");
    cases.both("table show fx_ecb_daily_rates --plot rate --where currency=USD --start 1999-01-10 --end 1999-01-20 --width 30 --height 5");
    cases.both("table show fx_ecb_daily_rates --plot rate --where currency=USD --width 40");
    cases.both("table show fx_ecb_daily_rates --plot rate --width 40");
    cases.both("table show fx_ecb_daily_rates --plot nothing");
    cases.both("table show currency_list --plot minor_units");
    cases.both("stats show fx_ecb_daily_rates");
    cases.both("stats show currency_list");
    cases.both("stats verify");
    cases.both("stats verify fx_ecb_daily_rates nothing");
}

fn revisions(cases: &mut Cases) {
    cases.add(Form::Text, "table revision notes --message 'By hand' --dir elsewhere").leaves = &["elsewhere"];
    cases.both("table current notes --dir elsewhere");
    cases.both("table history notes --dir elsewhere");
    cases.both("table upgrade notes --dir nowhere");
    cases.both("table downgrade notes base --dir nowhere");
    cases.both("table refresh notes --revision nowhere/notes/0001 --dir nowhere");
    cases.both("table current notes");
    cases.both("table history notes");
    cases.add(Form::Text, "table revision notes -m 'remarks, too' --autogenerate wider.toml").leaves =
        &["revisions"];
    cases.both("table revision notes -m again --autogenerate wider.toml");
    cases.both("table current notes");
    cases.both("table history notes");
    cases.add(Form::Both, "table revision notes --seal {revision}").leaves = &["revisions"];
    cases.both("table revision notes --complete {revision}");
    cases.text("table upgrade notes");
    cases.both("table upgrade notes");
    cases.both("table upgrade notes +9");
    cases.both("table current notes");
    cases.both("table history notes");
    cases.json("table downgrade notes -1");
    cases.both("table downgrade notes base");
    cases.both("table refresh notes --revision {folder}");
    cases.both("table refresh notes --contract notes.toml");
    cases.both("table refresh notes --contract missing.toml");
    cases.json("table upgrade notes");
}

fn sources(cases: &mut Cases) {
    cases.both("source list");
    cases.both("source show ecb");
    cases.both("source show nothing");
    cases.both("source add ecb --path {fx}/data");
    cases.both("source add ecb --path {fx}");
    cases.text("source add files --path {fx}/data --grant fx_log_returns");
    cases.both("source allow ecb --method POST");
    cases.both("source grant ecb fx_log_returns");
    cases.text("source revoke ecb fx_log_returns");
    cases.both("source revoke ecb fx_log_returns");
    cases.text("source remove files");
    cases.both("source remove files");
    cases.text("secret set prices_token --env PRICES_TOKEN");
    cases.both("secret set file_token --file {fx}/contracts/fx_log_returns.toml");
    let rules = "--method GET --allow-path series/* --header x-key={secret:prices_token} --query key={secret:prices_token} \
                 --request-header x-asks --response-header x-answers --redirect-to https://192.0.2.2/v2/ \
                 --network 192.0.2.0/24 --ca-file {fx}/../../tests/tls/authority.crt --max-bytes 1000 --timeout-ms 2000 \
                 --max-redirects 1 --retries 0 --per-minute 60";
    cases.both(&format!("source add api --url https://192.0.2.1/v1/ --grant fx_log_returns {rules}"));
    cases.both("source add api --url https://192.0.2.3/v1/");
    cases.both("source add api --url https://192.0.2.3/v1/ --replace");
    cases.both(&format!("source allow api {rules}"));
    cases.both("source show api");
    cases.text("source remove api");
    cases.text("secret remove file_token");
    cases.add(Form::Json, "secret set sealed_token").input = "a-long-secret-value\n";
    cases.add(Form::Both, "secret set short_token").input = "short\n";
    cases.both("secret list");
    cases.text("secret remove prices_token");
    cases.json("secret remove sealed_token");
    cases.both("secret remove sealed_token");
}

fn runs(cases: &mut Cases) {
    cases.both("run list");
    cases.both("run list --limit 2 --table fx_log_returns --status ok");
    cases.both("run list --node nothing");
    cases.both("run show {run}");
    cases.both("run show {failed}");
    cases.both("run show ffffffff");
    cases.both("run logs {run}");
    cases.both("run logs {run} --level warn --tail 1");
    cases.both("run logs {run} --follow");
    cases.both("run replay {run}");
    cases.both("run replay --all");
    cases.both("run replay ffffffff");
    cases.add(Form::Text, "run export {run} --output run.tar").leaves = &[];
    cases.both("run export ffffffff --output none.tar");
    cases.both("run replay --since 2900-01-01");
    cases.both("run retry {run}");
    cases.both("run retry {run} --option wide=true --wait 1 --progress none");
    cases.text("run retry {failed}");
    cases.both("run prune --before 1990-01-01");
    cases.both("run prune --before 2900-01-01 --dry-run");
    cases.both("check fx_log_returns --until 1999-03-01");
    cases.both("check fx_log_returns --table fx_log_returns --config '{\"max_gap_days\": 5}' --until 1999-03-01 --strict");
    cases.both(
        "check {component:fx_log_returns} --table {fx}/contracts/fx_log_returns.toml --until 1999-03-01",
    );
    cases.both("check nothing");
    cases.both("check --determinism fx_log_returns");
    cases.both("check --determinism fx_log_returns --runs 2");
    cases.both("check {component:fx_log_returns} --allow-stubbed-wasi --progress none");
}

fn backfills(cases: &mut Cases) {
    cases.text("node backfill fx_ecb_daily_rates --from 1999-01-05 --to 1999-01-31 --step 10d --overwrite");
    cases.json("node backfill fx_ecb_daily_rates --from 1999-01-05 --to 1999-01-31 --step 20d --append-only");
    cases.both("node backfill fx_ecb_daily_rates --from 1999-01-31 --to 1999-01-05 --append-only");
    cases.both("node backfill list");
    cases.both("node backfill list --node fx_ecb_daily_rates");
    cases.both("node backfill show {backfill}");
    cases.both("node backfill show {backfill} --status failed");
    cases.both("node backfill pause {backfill}");
    cases.both("node backfill cancel {backfill}");
    cases.both("node backfill resume {backfill}");
    cases.both(
        "node backfill resume {backfill} --concurrency 2 --option wide=true --journal digest --progress none",
    );
    cases.both("node backfill show ffffffff");
    cases.json(
        "node backfill fx_log_returns --from 1999-01-05 --to 1999-01-31 --append-only --hash-namespace mine",
    );
}

fn searches(cases: &mut Cases) {
    cases.both("search 'exchange rates of the euro'");
    cases.both("search currency --mode column --limit 2");
    cases.both("search returns --mode both --w-trgm 0.5 --w-emb 0.5 --trigram-k 10 --embed-k 10");
    cases.both("search notes --filter identifier=notes");
    cases.both("search notes --filter nothing=1");
    cases.both("search notes --data-source-id 1 --offset 1");
    cases.both("search notes --embedding-model another");
    cases.both("search notes --q-embedding 0.5,0.5");
    cases.both("table refresh-search-index notes");
    cases.both("table refresh-search-index nothing");
    cases.both("data-node list");
    cases.both("data-node search rates");
    cases.both("data-node run-query notes 'SELECT count(*) AS n FROM notes'");
    cases.both("data-node refresh-search-index notes");
}

fn deletes(cases: &mut Cases) {
    cases.both("data-node delete-after fx_log_returns 1999-03-01 --dry-run");
    cases.both("table delete-after fx_log_returns 1999-03-01 --dry-run --where currency=USD");
    cases.both("table delete-after fx_log_returns 1999-03-01 --coordinate currency=USD");
    cases.text("table delete-after fx_log_returns 1999-03-01 --coordinate currency=USD --yes");
    cases.json("table delete-after fx_log_returns 1999-02-15 --yes");
    cases.both("table delete-after currency_list 1999-02-15 --yes");
    cases.both("table delete-after fx_log_returns 1999-02-15 --where nothing=1 --yes");
}

fn people(cases: &mut Cases) {
    cases.text("user create ada --role admin");
    cases.json("user create grace");
    cases.both("user create lin --first-name Lin --last-name Chen --email lin@example.com --phone 12345");
    cases.both("user create ada");
    cases.both("user list");
    cases.both("user show ada");
    cases.both("user show nobody");
    cases.both("user disable grace");
    cases.both("user enable grace");
    cases.text("team create desk --user ada");
    cases.both("team create desk");
    cases.both("team create room --description 'Who is in it.'");
    cases.both("team list");
    cases.both("team show desk");
    cases.both("team add desk grace");
    cases.both("team remove desk grace");
    cases.both("role grant editor --team desk --namespace examples.fx");
    cases.both("role grant viewer --user grace --table notes");
    cases.both("role list");
    cases.both("role list --user grace");
    cases.both("role revoke --user grace --table notes");
    cases.both("role list --role editor --team desk --namespace examples.fx");
    cases.both("role list --table notes");
    cases.both("role revoke --role editor --team desk --namespace examples.fx");
    cases.text("table give notes --to ada");
    cases.both("table give notes --to-nobody");
    // A server keeps account of runs that are ordered, too: entries have other numbers there.
    cases.json("audit list --action table --limit 5");
    cases.json("audit list --subject notes --limit 3");
    cases.both("audit list --action nothing");
    cases.both("audit list --since 2900-01-01 --actor local --before 5");
    // From here on the server wants a token.
    cases.text("token create --user ada --name all --right read,write,run,upload,grant,manage --expires 1d");
    cases.json(
        "token create --user ada --name more --right read,write,run,upload,grant,manage --expires 1d --per-minute 6000",
    );
    cases.both("token list");
    cases.both("token list --user grace");
    cases.both("table list");
    cases.both("token revoke 0000000000000000");
    cases.text("token revoke {token}");
}
