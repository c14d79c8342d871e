//! What an error of a transactional call means for the transaction.

use std::ffi::CStr;

use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::sink::TransactionError;
use crate::source::kafka::{Consumer, Secrets};

/// An error of a transactional call, as the client tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallError {
    pub(super) code: Code,
    pub(super) fatal: bool,
    pub(super) retriable: bool,
    pub(super) requires_abort: bool,
    pub(super) reason: String,
}

/// Turns the result of a transactional call into ours.
///
/// # Safety
/// `error` is null, or an error that belongs to the caller; it is destroyed here.
pub(super) unsafe fn check(error: *mut sys::rd_kafka_error_t, secrets: &Secrets) -> Result<(), CallError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: alive until it is destroyed in the last line; the text is copied.
    unsafe {
        let found = CallError {
            code: sys::rd_kafka_error_code(error).into(),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            reason: secrets.redact(&CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy()),
        };
        sys::rd_kafka_error_destroy(error);
        Err(found)
    }
}

impl From<CallError> for TransactionError {
    fn from(CallError { code, fatal, retriable, requires_abort, reason }: CallError) -> Self {
        let reason = format!("{reason} ({code:?})");
        match code {
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Self::Fenced { reason },
            _ if fatal => Self::Failed { reason },
            _ if requires_abort => Self::MustAbort { reason },
            _ if retriable || passes(code) => Self::Retriable { reason },
            _ => Self::Failed { reason },
        }
    }
}

/// The same for a call of `client` outside of a transaction, where the client tells only a code.
pub(super) fn of_query(error: &KafkaError, client: &Consumer) -> TransactionError {
    if let Some(reason) = client.context().denied() {
        return TransactionError::Denied { reason };
    }
    let reason = client.context().redact(&error.to_string());
    match error.rdkafka_error_code() {
        Some(code) if passes(code) => TransactionError::Retriable { reason },
        _ => TransactionError::Failed { reason },
    }
}

/// Errors that pass when the call is made again: no answer, or a broker that is not ready.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::UnstableOffsetCommit
            | Code::ConcurrentTransactions
            | Code::InProgress
            | Code::PreviousInProgress
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(code: Code, fatal: bool, retriable: bool, requires_abort: bool) -> TransactionError {
        CallError { code, fatal, retriable, requires_abort, reason: String::new() }.into()
    }

    #[test]
    fn each_error_is_one_case_of_the_commit_protocol() {
        assert!(matches!(call(Code::Fenced, true, false, false), TransactionError::Fenced { .. }));
        assert!(matches!(call(Code::InvalidTransactionalState, true, false, false), TransactionError::Failed { .. }));
        assert!(matches!(call(Code::MessageSizeTooLarge, false, false, true), TransactionError::MustAbort { .. }));
        assert!(matches!(call(Code::OperationTimedOut, false, true, false), TransactionError::Retriable { .. }));
        // An error that says neither is not one to go on with.
        assert!(matches!(call(Code::Unknown, false, false, false), TransactionError::Failed { .. }));
    }

    #[test]
    fn an_error_that_is_retriable_and_requires_an_abort_is_not_tried_again() {
        assert!(matches!(call(Code::OperationTimedOut, false, true, true), TransactionError::MustAbort { .. }));
    }
}
