//! The logs that each member keeps, and how each is filled: the everyday day by day, and what was
//! put among it, merged in order of time.

use std::io;
use std::iter::Peekable;
use std::path::Path;

use super::attack::{Entry, Item, Mark};
use super::benign;
use super::calendar::{self, Day, Time};
use super::estate::Member;
use super::expected::Key;
use super::rng::Rng;
use super::sink::{Format, Sink};
use super::text::{ZEEK_CONN, ZEEK_DNS, ZEEK_HTTP};
use super::windows::{EXCHANGE, POWERSHELL, SYSMON, WindowsRecord};
use super::{Options, Written};

/// First day of the evidence.
pub(super) fn first_day() -> Day {
    Day::new(2021, 5, 1)
}

/// The day after the last.
pub(super) fn end_day() -> Day {
    Day::new(2022, 7, 20)
}

/// The day on which Albania's agency closed the public services.
fn closed_day() -> Day {
    Day::new(2022, 7, 17)
}

/// One log of one member.
pub(super) struct Stream {
    pub(super) name: &'static str,
    format: Format,
    channel: &'static str,
    /// Events on an ordinary workday at scale 1, for a member with the whole volume.
    daily: f64,
    /// Share that follows working hours.
    human: f64,
    make: Make,
}

enum Make {
    Windows(fn(&mut Rng, &Member, Time) -> WindowsRecord),
    Line(fn(&mut Rng, &Member, Time) -> String),
}

fn windows(
    name: &'static str,
    channel: &'static str,
    daily: f64,
    make: fn(&mut Rng, &Member, Time) -> WindowsRecord,
) -> Stream {
    Stream { name, format: Format::Evtx, channel, daily, human: 0.6, make: Make::Windows(make) }
}

fn forwarded(name: &'static str, daily: f64, make: fn(&mut Rng, &Member, Time) -> WindowsRecord) -> Stream {
    Stream { name, format: Format::Winlogbeat, channel: "", daily, human: 0.85, make: Make::Windows(make) }
}

fn lines(
    name: &'static str,
    format: Format,
    daily: f64,
    make: fn(&mut Rng, &Member, Time) -> String,
) -> Stream {
    Stream { name, format, channel: "", daily, human: 0.8, make: Make::Line(make) }
}

/// The logs of a member.
pub(super) fn of(member: &Member) -> Vec<Stream> {
    let mut streams = vec![
        lines("sharepoint01/iis", Format::Iis, 70.0, |rng, member, time| {
            benign::sharepoint_request(rng, member).iis(time)
        }),
        windows("sharepoint01/sysmon", SYSMON, 25.0, benign::sharepoint_sysmon),
        windows("sharepoint01/security", "Security", 15.0, benign::sharepoint_security),
        lines("exchange01/iis", Format::Iis, 80.0, |rng, member, time| {
            benign::exchange_request(rng, member).iis(time)
        }),
        windows("exchange01/management", EXCHANGE, 12.0, benign::exchange_management),
        windows("exchange01/powershell", POWERSHELL, 8.0, benign::exchange_powershell),
        windows("exchange01/security", "Security", 15.0, benign::exchange_security),
        windows("printsrv01/sysmon", SYSMON, 12.0, benign::print_sysmon),
        windows("printsrv01/security", "Security", 15.0, benign::print_security),
        windows("printsrv01/system", "System", 5.0, benign::print_system),
        forwarded("dc01/forwarded", 50.0, benign::domain_controller),
        forwarded("forwarded", 150.0, benign::forwarded),
        lines("zeek/conn", Format::Zeek(&ZEEK_CONN), 45.0, benign::zeek_conn),
        lines("zeek/http", Format::Zeek(&ZEEK_HTTP), 25.0, |rng, member, time| {
            let mut request = benign::sharepoint_request(rng, member);
            if !request.client.starts_with(member.network) {
                request.server = member.public_ip.into();
            }
            request.zeek(rng, time)
        }),
        lines("zeek/dns", Format::Zeek(&ZEEK_DNS), 35.0, benign::zeek_dns),
        lines("proxy", Format::Proxy, 30.0, |rng, member, time| {
            benign::proxy_request(rng, member).proxy(time)
        }),
        lines("gateway", Format::Syslog, 15.0, benign::gateway),
    ];
    if member.key == "ally-c" {
        streams.push(windows("devbuild01/sysmon", SYSMON, 25.0, benign::build_sysmon));
    }
    streams
}

impl Stream {
    /// Writes the whole log.
    pub(super) fn write(
        &self,
        dir: &Path,
        member: &Member,
        story: &[(&'static str, Item)],
        options: &Options,
        written: &mut Written,
        key: &mut Key,
    ) -> io::Result<()> {
        let mut rng = Rng::new(options.seed, &format!("{}/{}", member.key, self.name));
        let mut planted =
            story.iter().filter(|(stream, _)| *stream == self.name).map(|(_, item)| item.clone()).peekable();
        let mut file: Option<(String, Sink)> = None;
        let mut record_id = rng.between(1_000, 400_000);
        for day in (first_day().0..end_day().0).map(Day) {
            for item in self.day(&mut rng, member, day, options.scale, &mut planted) {
                let path = format!("{}/{}", member.key, self.format.path(self.name, self.channel, day));
                if file.as_ref().is_none_or(|(open, _)| *open != path) {
                    close(file.take(), written)?;
                    let sink = Sink::create(dir, &path, self.format, record_id, item.time)?;
                    file = Some((path, sink));
                }
                let Some((path, sink)) = &mut file else { continue };
                let place = sink.write(item.time, &item.entry)?;
                record_id += 1;
                match &item.mark {
                    None => written.benign += 1,
                    Some(Mark::Step { .. }) => written.injected += 1,
                    Some(Mark::Trap { .. }) => written.traps += 1,
                }
                key.note(path, place.record, self.format.precision(item.time), &item);
            }
        }
        close(file, written)
    }

    /// One day's events in order of time.
    fn day(
        &self,
        rng: &mut Rng,
        member: &Member,
        day: Day,
        scale: f64,
        planted: &mut Peekable<impl Iterator<Item = Item>>,
    ) -> Vec<Item> {
        let closed = member.key == "albania" && day >= closed_day() && self.name.ends_with("/iis");
        let mean = if closed { 0.0 } else { self.daily * member.share * day.weight() * scale };
        let count = rng.round(mean);
        let mut items: Vec<Item> = calendar::moments(rng, day, count, self.human)
            .into_iter()
            .map(|time| {
                let entry = match self.make {
                    Make::Windows(make) => Entry::Windows(Box::new(make(rng, member, time))),
                    Make::Line(make) => Entry::Line(make(rng, member, time)),
                };
                Item { time, entry, mark: None }
            })
            .collect();
        while let Some(item) = planted.next_if(|item| item.time.day() <= day) {
            items.push(item);
        }
        items.sort_by_key(|item| item.time);
        items
    }
}

fn close(file: Option<(String, Sink)>, written: &mut Written) -> io::Result<()> {
    if let Some((_, sink)) = file {
        written.bytes += sink.finish()?;
        written.files += 1;
    }
    Ok(())
}
