//! On what it was measured.

use std::fs;

/// What a reader needs to place the figures: processor, memory, system, and how busy the machine was before.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field(&processor, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let virtual_machine = field(&processor, "flags").is_some_and(|flags| flags.contains(" hypervisor"));
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GiB of memory", kib >> 20));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{}, {model}, {} processors{memory}{}; {} {}; load {load} when it began",
        chrono::Utc::now().format("%Y-%m-%d"),
        std::thread::available_parallelism().map_or(0, usize::from),
        if virtual_machine { ", a virtual machine" } else { "" },
        std::env::consts::OS,
        kernel.trim(),
    )
}
