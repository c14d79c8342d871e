//! Ad events by the million, the same ones for the same seed. Pure: time and randomness come in as numbers, and nothing here knows a clock, Kafka or a thread.
//!
//! One in-time record looks like this (on one line):
//!
//! ```json
//! {"event_id":"E1765818248891151","timestamp":"2025-12-16T02:04:08.891156","user_id":"U95480","campaign_id":"C004","ad_format":"rewarded_video",
//!  "country":"UK","device":"Android","event_type":"click","revenue":0.0165}
//! ```

use jiff::Timestamp;
use jiff::tz::Offset;

/// What the stream is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Equal seeds make equal streams.
    pub seed: u64,
    /// The event clock of the first record, in microseconds since 1970.
    pub start_us: i64,
    /// How far the event clock goes on from record to record, in microseconds.
    pub step_us: f64,
    /// A record's event time lies up to this far behind the event clock, evenly spread.
    pub jitter_us: u64,
    /// How many records are late.
    pub late: Share,
    /// A late record's event time lies between this and four times this behind the event clock.
    pub late_by_us: u64,
    /// How many records can't be decoded.
    pub bad: Share,
}

/// A share of records, in parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share(u32);

impl Share {
    /// `None` unless `fraction` is between 0 and 1.
    #[must_use]
    pub fn of(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then(|| Self((fraction * f64::from(MILLION)).round() as u32))
    }
}

/// What a record is to the pipeline that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its event time is within the jitter.
    InTime,
    /// Its event time is further back than a sensible watermark waits.
    Late,
    /// It does not fit the schema.
    Bad,
}

/// A record to send. Kept by the caller between calls, so that a record costs no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The user's id: a user's events stay in one partition, in order.
    pub key: Vec<u8>,
    /// The event as JSON, or what is left of it.
    pub value: Vec<u8>,
}

/// An endless stream of ad events.
#[derive(Debug, Clone)]
pub struct AdEvents {
    shape: Shape,
    random: Random,
    made: u64,
    last_id: i64,
}

impl AdEvents {
    /// The stream's beginning.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self { random: Random::new(shape.seed), made: 0, last_id: i64::MIN, shape }
    }

    /// Overwrites `record` with the next one.
    pub fn next(&mut self, record: &mut Record) -> Kind {
        let event = self.event();
        record.key.clear();
        event.user(&mut record.key);
        record.value.clear();
        let kind = if self.random.hits(self.shape.bad) {
            self.spoil(&event, &mut record.value);
            Kind::Bad
        } else {
            event.write(&mut record.value, None);
            if event.late { Kind::Late } else { Kind::InTime }
        };
        self.made += 1;
        kind
    }

    fn event(&mut self) -> Event {
        let clock = self.shape.start_us.saturating_add((self.made as f64 * self.shape.step_us) as i64);
        let random = &mut self.random;
        // Ids are unique also where more than one record shares a microsecond.
        self.last_id = clock.max(self.last_id.saturating_add(1));
        let late = random.hits(self.shape.late);
        let behind = if late { self.shape.late_by_us + random.below(3 * self.shape.late_by_us + 1) } else { random.below(self.shape.jitter_us + 1) };
        let event_type = random.pick(&EVENT_TYPES);
        Event {
            id: self.last_id,
            late,
            time_us: clock.saturating_sub_unsigned(behind),
            bot: random.below(100) == 0,
            user: 10_000 + random.below(90_000),
            campaign: 1 + random.below(20),
            ad_format: random.pick(&AD_FORMATS),
            country: random.pick(&COUNTRIES),
            device: random.pick(&DEVICES),
            event_type: event_type.name,
            revenue: event_type.revenue_from.map(|from| {
                let sign = if random.below(500) == 0 { -1 } else { 1 };
                sign * (from + random.below(99 * from as u64) as i64)
            }),
        }
    }

    /// Writes a value that no reader with the schema may take.
    fn spoil(&mut self, event: &Event, value: &mut Vec<u8>) {
        match self.random.below(5) {
            0 => {
                event.write(value, None);
                let keep = 1 + self.random.below(value.len() as u64 - 1);
                value.truncate(keep as usize);
            }
            1 => event.write(value, Some(Fault { field: "revenue", value: r#""0.0165""# })),
            2 => event.write(value, Some(Fault { field: "timestamp", value: r#""yesterday""# })),
            3 => event.write(value, Some(Fault { field: "event_type", value: "null" })),
            _ => event.write(value, Some(Fault { field: "country", value: "17" })),
        }
    }
}

/// SplitMix64: good enough to spread events and kills, the same on every machine for ever.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The upper half of the product: without the bias of a remainder, for any end that matters here.
        ((u128::from(self.number()) * u128::from(end)) >> 64) as u64
    }

    fn hits(&mut self, share: Share) -> bool {
        self.below(u64::from(MILLION)) < u64::from(share.0)
    }

    fn pick<T: Copy>(&mut self, from: &Weighted<T>) -> T {
        let mut at = self.below(from.rest.iter().map(|(weight, _)| weight).sum::<u64>() + from.first.0);
        for (weight, value) in from.rest {
            match at.checked_sub(*weight) {
                None => return *value,
                Some(left) => at = left,
            }
        }
        from.first.1
    }
}

const MILLION: u32 = 1_000_000;

/// Values with their weights; never empty.
struct Weighted<T: 'static> {
    first: (u64, T),
    rest: &'static [(u64, T)],
}

#[derive(Clone, Copy)]
struct EventType {
    name: &'static str,
    /// The lowest revenue, in ten thousandths; the highest is a hundred times that. None: the event earns nothing.
    revenue_from: Option<i64>,
}

static EVENT_TYPES: Weighted<EventType> = Weighted {
    first: (800, EventType { name: "impression", revenue_from: None }),
    rest: &[(170, EventType { name: "click", revenue_from: Some(50) }), (30, EventType { name: "conversion", revenue_from: Some(5_000) })],
};
static AD_FORMATS: Weighted<&str> = Weighted { first: (40, "banner"), rest: &[(20, "video"), (20, "native"), (10, "rewarded_video"), (10, "interstitial")] };
static COUNTRIES: Weighted<&str> = Weighted { first: (30, "US"), rest: &[(12, "UK"), (12, "DE"), (12, "JP"), (10, "KR"), (8, "FR"), (8, "IN"), (8, "BR")] };
static DEVICES: Weighted<Device> =
    Weighted { first: (45, Device::Is("Android")), rest: &[(35, Device::Is("iOS")), (15, Device::Is("Web")), (3, Device::Null), (2, Device::Missing)] };

#[derive(Clone, Copy)]
enum Device {
    Is(&'static str),
    Null,
    Missing,
}

/// A field that gets another value, as JSON text.
struct Fault {
    field: &'static str,
    value: &'static str,
}

struct Event {
    id: i64,
    late: bool,
    time_us: i64,
    bot: bool,
    user: u64,
    campaign: u64,
    ad_format: &'static str,
    country: &'static str,
    device: Device,
    event_type: &'static str,
    /// In ten thousandths.
    revenue: Option<i64>,
}

impl Event {
    fn user(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.bot { b"BOT" } else { b"U" });
        digits(out, self.user, 5);
    }

    fn write(&self, out: &mut Vec<u8>, fault: Option<Fault>) {
        let fault = &fault;
        out.push(b'{');
        field(out, "event_id", fault, |out| {
            out.extend_from_slice(b"\"E");
            out.extend_from_slice(itoa::Buffer::new().format(self.id).as_bytes());
            out.push(b'"');
        });
        field(out, "timestamp", fault, |out| timestamp(out, self.time_us));
        field(out, "user_id", fault, |out| {
            out.push(b'"');
            self.user(out);
            out.push(b'"');
        });
        field(out, "campaign_id", fault, |out| {
            out.extend_from_slice(b"\"C");
            digits(out, self.campaign, 3);
            out.push(b'"');
        });
        field(out, "ad_format", fault, |out| text(out, self.ad_format));
        field(out, "country", fault, |out| text(out, self.country));
        match self.device {
            Device::Is(name) => field(out, "device", fault, |out| text(out, name)),
            Device::Null => field(out, "device", fault, |out| out.extend_from_slice(b"null")),
            Device::Missing => {}
        }
        field(out, "event_type", fault, |out| text(out, self.event_type));
        field(out, "revenue", fault, |out| match self.revenue {
            Some(revenue) => decimal(out, revenue),
            None => out.extend_from_slice(b"null"),
        });
        out.push(b'}');
    }
}

fn field(out: &mut Vec<u8>, name: &str, fault: &Option<Fault>, value: impl FnOnce(&mut Vec<u8>)) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    text(out, name);
    out.push(b':');
    match fault {
        Some(fault) if fault.field == name => out.extend_from_slice(fault.value.as_bytes()),
        _ => value(out),
    }
}

/// `value` needs no escapes: every name here is plain.
fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// ISO-8601 with microseconds and no zone, which readers take as UTC.
fn timestamp(out: &mut Vec<u8>, us: i64) {
    let time = Offset::UTC.to_datetime(Timestamp::from_microsecond(us).unwrap_or(Timestamp::MAX));
    let parts = [
        (b'"', i64::from(time.year()), 4),
        (b'-', i64::from(time.month()), 2),
        (b'-', i64::from(time.day()), 2),
        (b'T', i64::from(time.hour()), 2),
        (b':', i64::from(time.minute()), 2),
        (b':', i64::from(time.second()), 2),
        (b'.', us.rem_euclid(1_000_000), 6),
    ];
    for (before, part, width) in parts {
        out.push(before);
        digits(out, part.unsigned_abs(), width);
    }
    out.push(b'"');
}

/// The shortest text of a number of ten thousandths: `0.0165`, `0.5`, `-12.0`.
fn decimal(out: &mut Vec<u8>, ten_thousandths: i64) {
    if ten_thousandths < 0 {
        out.push(b'-');
    }
    let magnitude = ten_thousandths.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(magnitude / 10_000).as_bytes());
    out.push(b'.');
    digits(out, magnitude % 10_000, 4);
    let zeros = out.iter().rev().take(3).take_while(|digit| **digit == b'0').count();
    out.truncate(out.len() - zeros);
}

/// The last `width` digits of `number`, with zeros in front.
fn digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    out.resize(out.len() + width, b'0');
    for digit in out.iter_mut().rev().take(width) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests;
