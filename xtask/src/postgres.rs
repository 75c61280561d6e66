//! A PostgreSQL server for the tests and benches: found, or started and stopped again.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{read, run, succeeds};

/// URL of a server whose role may create databases and roles: where it is set, nothing is looked for.
pub const VARIABLE: &str = "DATANODE_TEST_POSTGRES";
/// The oldest release that the host supports.
const OLDEST: u32 = 15;
/// Owner of the private cluster, inside of it.
const ROLE: &str = "datanode_test";
/// The machine's own server, as Debian sets it up.
const LOCAL: &str = "postgres://postgres@127.0.0.1:5432/postgres";
/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether a private server waits for its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// As servers do whose rows matter.
    Synced,
    /// Tests kill the host and not the server: nothing of theirs outlives it.
    Unsynced,
}

/// A server that answers. A private one is stopped and removed when this is dropped.
#[derive(Debug)]
pub struct Server {
    url: OsString,
    _private: Option<Cluster>,
}

impl Server {
    /// What the tests need to find it: the value of [`VARIABLE`].
    pub fn url(&self) -> &OsString {
        &self.url
    }

    /// The server that [`VARIABLE`] names; else a private cluster made with the installed binaries; where there are
    /// none, and this may install packages, with Debian's. Where a cluster cannot be started (by a user that may not
    /// become another one, say), the machine's own server, if it lets this user in. Says what it did.
    pub fn find_or_start(disk: Disk) -> Result<Self> {
        if let Some(url) = std::env::var_os(VARIABLE) {
            println!("   PostgreSQL: the server that {VARIABLE} names");
            return Ok(Self { url, _private: None });
        }
        let binaries = if let Some(binaries) = installed() {
            binaries
        } else {
            install()?;
            installed().with_context(|| format!("no PostgreSQL {OLDEST} or newer was installed"))?
        };
        let cluster = match Cluster::start(&binaries, disk, None) {
            Ok(cluster) => cluster,
            Err(error) if is_usable(&binaries) => {
                println!("   PostgreSQL: no private cluster ({error:#}), but the server at {LOCAL}");
                return Ok(Self { url: LOCAL.into(), _private: None });
            }
            Err(error) => return Err(error),
        };
        println!(
            "   PostgreSQL: a private cluster of {} on port {}, {} fsync; it goes at the end",
            binaries.display(),
            cluster.port,
            if disk == Disk::Synced { "with" } else { "without" }
        );
        let url = cluster.url("127.0.0.1").into();
        Ok(Self { url, _private: Some(cluster) })
    }
}

/// The directory of the newest server binaries.
pub fn installed() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<_> = debian
        .map(|release| release.path().join("bin"))
        .chain(std::env::split_paths(&on_path))
        .filter_map(|directory| Some((release(&directory)?, directory)))
        .filter(|(release, _)| *release >= OLDEST)
        .collect();
    found.sort();
    found.pop().map(|(_, directory)| directory)
}

/// Release of the server in a directory that has all that a cluster needs.
fn release(directory: &Path) -> Option<u32> {
    let server = directory.join("postgres");
    let whole = ["initdb", "pg_ctl", "pg_isready"].iter().all(|name| directory.join(name).is_file());
    if !whole || !server.is_file() {
        return None;
    }
    // `postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)`
    let version = read(Command::new(server).arg("--version")).ok()?;
    version.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
}

/// Whether the machine's own server lets this user make databases.
fn is_usable(binaries: &Path) -> bool {
    let mut ask = Command::new(binaries.join("psql"));
    ask.args([LOCAL, "--no-psqlrc", "--no-password", "--command"]);
    // Fails, by division by zero, for a role that may not.
    ask.arg(
        "SELECT 1 / (rolsuper OR rolcreatedb AND rolcreaterole)::int FROM pg_roles WHERE rolname = current_user",
    );
    succeeds(&mut ask)
}

fn install() -> Result<()> {
    const PACKAGE: &str = "postgresql";
    if !is_root() || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "the tests need PostgreSQL {OLDEST} or newer: install it (on Debian: apt-get install {PACKAGE}), \
             or set {VARIABLE}=postgres://ROLE@HOST/DATABASE to a server whose role may create databases and roles"
        );
    }
    println!("   PostgreSQL is not installed; installing Debian's package `{PACKAGE}`");
    let install =
        || run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", PACKAGE]));
    if install().is_ok() {
        return Ok(());
    }
    // The lists of packages are empty on a fresh machine, and name files that are gone on an old one.
    println!("   with the lists of packages that are here it cannot be installed; fetching them");
    run(Command::new("apt-get").arg("update"))?;
    install()
}

/// What a server proves itself with, both as PEM.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// The certificate.
    pub certificate: &'a str,
    /// Its key.
    pub key: &'a str,
}

/// A cluster of its own in a directory of its own.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    binaries: PathBuf,
    server: Child,
    port: u16,
    disk: Disk,
}

/// The server of a cluster. A child, not a daemon: what interrupts this interrupts it, too.
fn begin(binaries: &Path, directory: &Path, port: u16, disk: Disk) -> Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log"))?;
    as_server_user(&binaries.join("postgres"))
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
        .args(if disk == Disk::Unsynced {
            &["-c", "fsync=off", "-c", "full_page_writes=off"][..]
        } else {
            &[]
        })
        .arg("-k")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("the PostgreSQL server cannot be started")
}

impl Cluster {
    /// Start one. With a certificate it talks TLS, and with nobody who does not.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be made, or its server does not answer.
    pub fn start(binaries: &Path, disk: Disk, certificate: Option<Certificate<'_>>) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("datanode-postgres-{}-{number}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let data = directory.join("data");
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(&directory))?;
        }
        let settings = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", ROLE];
        run(as_server_user(&binaries.join("initdb"))
            .args(settings)
            .arg("--pgdata")
            .arg(&data)
            .stdout(Stdio::null()))?;
        if let Some(certificate) = certificate {
            talk_tls(&data, certificate)?;
        }
        // Another process may take the port before the server does: then the server says so, and this fails.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let server = begin(binaries, &directory, port, disk)?;
        let mut cluster = Self { directory, binaries: binaries.to_owned(), server, port, disk };
        cluster.wait()?;
        Ok(cluster)
    }

    /// Where it is, by the name of a host that leads to this machine.
    pub fn url(&self, host: &str) -> String {
        format!("postgres://{ROLE}@{host}:{}/postgres", self.port)
    }

    /// End its server in the middle of what it does, as a crash would.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub fn crash(&mut self) -> Result<()> {
        let mut stop = as_server_user(&self.binaries.join("pg_ctl"));
        stop.args(["stop", "--silent", "--mode", "immediate", "--pgdata"]).arg(self.directory.join("data"));
        run(&mut stop)?;
        self.server.wait()?;
        Ok(())
    }

    /// Start the server again that was ended, on the same port.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn begin_again(&mut self) -> Result<()> {
        self.server = begin(&self.binaries, &self.directory, self.port, self.disk)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        let ask = |port: u16, binaries: &Path| {
            let mut ask = Command::new(binaries.join("pg_isready"));
            ask.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            succeeds(&mut ask)
        };
        while !ask(self.port, &self.binaries) {
            if self.server.try_wait()?.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                bail!("the PostgreSQL server did not start; it says:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_server_user(&self.binaries.join("pg_ctl"));
        stop.args(["stop", "--silent", "--mode", "immediate", "--pgdata"]).arg(self.directory.join("data"));
        if !succeeds(&mut stop) {
            // Nothing else is left to try, and the directory goes in any case.
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Let the server of a data directory talk TLS, and refuse everything else.
fn talk_tls(data: &Path, certificate: Certificate<'_>) -> Result<()> {
    let settings = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
    fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?.write_all(settings.as_bytes())?;
    fs::write(
        data.join("pg_hba.conf"),
        "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n",
    )?;
    fs::write(data.join("server.crt"), certificate.certificate)?;
    let key = data.join("server.key");
    fs::write(&key, certificate.key)?;
    // A server takes no key that others can read.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(&key))?;
    }
    Ok(())
}

/// A command as a user that a server may run as.
fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine without the binaries there is nothing to start; installing them is for `cargo xtask test`.
    #[test]
    fn a_private_cluster_answers_and_leaves_nothing() {
        let Some(binaries) = installed() else { return };
        let cluster = Cluster::start(&binaries, Disk::Unsynced, None).unwrap();
        let directory = cluster.directory.clone();
        let asked = Command::new(binaries.join("psql"))
            .args(["--host", "127.0.0.1", "--port", &cluster.port.to_string(), "--username", ROLE])
            .args(["--dbname", "postgres", "--no-align", "--tuples-only"])
            .args(["--command", "CREATE DATABASE another"])
            .output()
            .unwrap();
        assert!(asked.status.success(), "{asked:?}");
        drop(cluster);
        assert!(!directory.exists());
    }
}
