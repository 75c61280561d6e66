//! `datanode serve`

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use datanode_runtime::{Host, Stop};
use datanode_server::logs::{self, LogFormat, LogLevel};
use datanode_server::{Listening, ServerSettings, Traces};
use serde_json::json;

use crate::failure::OrFail;
use crate::home::{self, Home};
use crate::interrupt;
use crate::print::{self, Printer};

#[derive(Debug, Args)]
#[command(
    after_help = "The server is the host of this data directory behind HTTP: its own API below /api/v1 (GET /api/v1/openapi.json\n\
    describes it), the protocol of the existing client, /healthz, /readyz and /metrics. With --database it is one of several\n\
    over the same database.\n\n\
    On a loopback address it demands no token while the database has none that counts, and then answers programs of this\n\
    machine alone. From the first token on it demands one of everybody. On any other address it does not begin without one:\n\
    datanode user create, datanode token create. It speaks HTTP: what comes from elsewhere comes through a proxy with TLS.\n\n\
    It ends at Ctrl-C or SIGTERM: runs under way are ended and give up their nodes, answers under way are given.\n\
    Bounds of requests are set under [server] in datanode.toml. Of the variables of OpenTelemetry it follows those for\n\
    traces, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME.\n\n\
    Examples:\n  datanode serve\n  datanode serve --listen 0.0.0.0:8750 --log-format json\n  \
    datanode serve --listen 127.0.0.1:0 --json"
)]
pub(crate) struct ServeArguments {
    /// Address and port; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8750", env = "DATANODE_LISTEN")]
    listen: SocketAddr,
    /// Demand a token of everybody, also on a loopback address without any
    #[arg(long)]
    require_token: bool,
    /// How the lines of the log look, which go to standard error
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// What the log tells: off, error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
    /// Send traces of requests and runs to this collector, by OTLP over HTTP [default: `$OTEL_EXPORTER_OTLP_ENDPOINT`]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

pub(crate) async fn run(
    arguments: ServeArguments,
    host: &Host,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let ServeArguments { listen, require_token, log_format, log_level, otlp_endpoint } = arguments;
    let settings = ServerSettings { require_token, ..home::server_settings(home)? };
    let format = match log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let traces = Traces::begin(otlp_endpoint.as_deref()).or_fail()?;
    logs::start(format, log_level, traces.as_ref());
    let listening = Listening::on(listen, host.clone(), settings).await.or_fail()?;
    let url = format!("http://{}", listening.address());
    // For whoever has started it: from now on it answers.
    printer.show(&json!({"url": url, "address": listening.address().to_string()}), || {
        print::done(&format!("listening on {url}"));
    })?;
    let stop = Stop::default();
    // A line that is no JSON has no place in a log that is.
    interrupt::stops(&stop, Printer { json: printer.json || log_format == Format::Json });
    listening.serve(async move { stop.stopped().await }).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(ExitCode::SUCCESS)
}
