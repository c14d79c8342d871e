//! An opened function: a pool with an instance for each thread that calls at once, all opened alike. It owns what happens around a call: taking an instance,
//! giving it back or throwing it away, and the second try on a fresh one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_schema::Schema;
use wasmtime::Store;

use super::bindings::{Answer, Exports, OpenFailure};
use super::convert;
use super::error::{Malformed, OpenError, PluginError, Site};
use super::instance::{Guest, Instance};
use super::limits::Limits;
use super::load::Plugin;
use super::stats::{Counters, Stages, Stats};

/// A longer reason of a guest is cut here: it goes into logs and dead letters.
const REASON_BYTES: usize = 8 << 10;

/// An opened function.
pub(super) struct Pool<E: Exports> {
    opening: Opening,
    /// What the first instance answered to `open`: every other one must answer the same.
    opened: E::Opened,
    idle: Mutex<Vec<Member<E>>>,
    counters: Counters,
}

/// What a function is opened with.
struct Opening {
    plugin: Plugin,
    function: String,
    config: String,
    input: Arc<Schema>,
    limits: Limits,
}

struct Member<E> {
    instance: Instance,
    exports: E,
    recycle_beyond_bytes: usize,
}

/// What a guest answers to a call, before it is checked.
pub(super) trait Weigh {
    /// How many bytes it is.
    fn bytes(&self) -> usize;
}

impl<E: Exports> Pool<E> {
    /// Opens a function of a plugin.
    pub(super) fn open(plugin: &Plugin, function: &str, config: &serde_json::Value, input: &Schema, limits: &Limits) -> Result<Self, OpenError> {
        let opening =
            Opening { plugin: plugin.clone(), function: function.to_owned(), config: config.to_string(), input: Arc::new(input.clone()), limits: *limits };
        opening.plugin.offers::<E>(function)?;
        let (member, opened) = opening.member::<E>()?;
        let counters = Counters::default();
        counters.instance_made();
        Ok(Self { opening, opened, idle: Mutex::new(vec![member]), counters })
    }

    /// What the guest answered to `open`.
    pub(super) fn opened(&self) -> &E::Opened {
        &self.opened
    }

    /// The columns that it was opened on.
    pub(super) fn input(&self) -> &Schema {
        &self.opening.input
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.opening.limits
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// The place of a call, for errors.
    pub(super) fn site(&self, call: &'static str) -> Site {
        self.opening.site(call)
    }

    /// The error for a call that could not be made, by no fault of the guest.
    pub(super) fn host_error(&self, call: &'static str, reason: impl Into<String>) -> PluginError {
        PluginError::Host { site: Box::new(self.site(call)), reason: reason.into() }
    }

    /// Makes a call with `bytes_in` of arguments, whose preparation began at `began`, and has its answer checked. If that fails it is made once more, on a fresh
    /// instance: a busy machine or a leaking runtime is not a bad row.
    pub(super) fn call<R: Weigh, T>(
        &self,
        name: &'static str,
        began: Instant,
        bytes_in: usize,
        call: impl Fn(&E, &mut Store<Guest>) -> wasmtime::Result<Answer<R>>,
        check: impl Fn(R) -> Result<T, Malformed>,
    ) -> Result<T, PluginError> {
        let call = Call { name, bytes_in, call, check };
        let first = match self.idle() {
            Some(member) => self.attempt(member, began, &call),
            None => self.fresh().and_then(|member| self.attempt(member, began, &call)),
        };
        let error = match first {
            Ok(value) => return Ok(value),
            Err(error @ PluginError::Host { .. }) => return Err(error),
            Err(error) => error,
        };
        tracing::debug!(%error, "a plugin call failed and is tried once more on a fresh instance");
        self.counters.retried();
        self.fresh().and_then(|member| self.attempt(member, Instant::now(), &call)).inspect_err(|_| self.counters.failed())
    }

    /// One try. The instance goes back to the pool only if all went well.
    fn attempt<R, T, C, K>(&self, mut member: Member<E>, began: Instant, call: &Call<C, K>) -> Result<T, PluginError>
    where
        R: Weigh,
        C: Fn(&E, &mut Store<Guest>) -> wasmtime::Result<Answer<R>>,
        K: Fn(R) -> Result<T, Malformed>,
    {
        let site = || self.site(call.name);
        let entered = Instant::now();
        let output_bytes = self.limits().output(call.bytes_in);
        let answer = member.instance.call(entered, output_bytes, site, |store| (call.call)(&member.exports, store));
        let left = Instant::now();
        self.counters.in_guest(entered, left);
        let answer = answer?.map_err(|mut reason| {
            reason.truncate(reason.floor_char_boundary(REASON_BYTES));
            PluginError::Refused { site: Box::new(site()), reason }
        })?;
        let bytes_out = answer.bytes();
        let value = (call.check)(answer).map_err(|malformed| malformed.at(site()))?;
        self.give_back(member);
        self.counters.served(&Stages { began, entered, left, ended: Instant::now() }, call.bytes_in, bytes_out);
        Ok(value)
    }

    fn idle(&self) -> Option<Member<E>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn fresh(&self) -> Result<Member<E>, PluginError> {
        let (member, opened) = self.opening.member::<E>().map_err(|error| match error {
            OpenError::Failed(error) => error,
            other => Malformed::new("`open`", format!("it succeeded before, and now: {other}")).at(self.site("open")),
        })?;
        self.counters.instance_made();
        if opened != self.opened {
            return Err(Malformed::new("`open`", "it answers otherwise than it did before, with the same function, config and input").at(self.site("open")));
        }
        Ok(member)
    }

    fn give_back(&self, member: Member<E>) {
        if member.instance.memory_bytes() > member.recycle_beyond_bytes {
            self.counters.instance_recycled();
        } else {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        }
    }
}

/// A call, as it is made once or twice.
struct Call<C, K> {
    name: &'static str,
    bytes_in: usize,
    call: C,
    check: K,
}

impl Opening {
    fn site(&self, call: &'static str) -> Site {
        Site { plugin: self.plugin.description().name.clone(), digest: *self.plugin.digest(), function: self.function.clone(), call }
    }

    /// A fresh instance, opened.
    fn member<E: Exports>(&self) -> Result<(Member<E>, E::Opened), OpenError> {
        let site = || self.site("open");
        let mut instance = self.plugin.instance(&self.limits, site)?;
        let exports = instance.find(E::find).map_err(|error| PluginError::Host { site: Box::new(site()), reason: format!("{error:#}") })?;
        let input = convert::schema(&self.input)?;
        let bytes_in = self.config.len();
        let answer =
            instance.call(Instant::now(), self.limits.output(bytes_in), site, |store| exports.open().call(store, (&self.function, &self.config, &input)))?;
        let opened = answer.map_err(|failure| match failure {
            OpenFailure::UnknownFunction => self.plugin.unknown_function::<E>(&self.function),
            OpenFailure::Config(failure) => OpenError::Config { pointer: failure.pointer, message: failure.message },
            OpenFailure::Input(message) => OpenError::Input { message },
        })?;
        let recycle_beyond_bytes = self.limits.recycle_memory_bytes.max(instance.memory_bytes().saturating_mul(2));
        Ok((Member { instance, exports, recycle_beyond_bytes }, opened))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::plugin::Engine;
    use crate::plugin::bindings::{AggregateExports, BlobsIn};
    use crate::plugin::convert::lift;

    /// No guest can be made to do this, since every instance sees the same bytes: so it is the memory of the first answer that changes.
    #[test]
    fn an_instance_that_opens_otherwise_than_the_first_is_refused() {
        let plugin = Engine::new(None).unwrap().std().unwrap();
        let config = serde_json::json!({ "n": "count(*)" });
        let function = plugin.functions().first().unwrap().name.clone();
        let mut pool = Pool::<AggregateExports>::open(&plugin, &function, &config, &Schema::empty(), &Limits::default()).unwrap();
        pool.idle.lock().unwrap().clear();
        pool.opened.reads.push(7);
        let states = BlobsIn { offsets: &[0, 0, 0, 0], data: &[] };
        let error =
            pool.call("merge", Instant::now(), 0, |exports, store| exports.merge.call(store, (states, &[], 0)), |answer| lift::blobs(answer, 0)).unwrap_err();
        match error {
            PluginError::BadOutput { place, what, .. } => assert!(place == "`open`" && what.starts_with("it answers otherwise"), "{place}: {what}"),
            other => panic!("{other}"),
        }
    }
}
