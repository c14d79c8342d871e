//! Errors of a connection that do not pass by themselves: the brokers turn this client away, or it does not trust them. A client goes on trying for ever, as it does
//! in an outage; what tells the two apart is here.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::client::{Consumer, now};

/// Why the client and the brokers will not come together, and what to do; none: the error may pass.
pub(crate) fn denial(code: Code, reason: &str) -> Option<String> {
    // NOTE: a connection that breaks within the handshake has the code of a refusal, and librdkafka's own words.
    let broken = reason.contains("Local: ") || reason.contains("Disconnected");
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState if !broken => Some(format!(
            "authentication failed, the brokers refuse this client: correct `sasl.username`, `sasl.password` or `sasl.mechanism` in `properties`: {reason}"
        )),
        Code::SSL if reason.contains("certificate") => Some(format!(
            "authentication failed, the brokers' certificate is not trusted: correct `ssl.ca.location` in `properties`, or the brokers' names: {reason}"
        )),
        _ => None,
    }
}

/// How long the next event of a client is waited for.
const EVENTS: Duration = Duration::from_millis(10);

/// Asks a question that is answered within a call, until `deadline`. It is asked in turns, so that a client that is denied is noticed after the first.
pub(crate) fn ask<T>(client: &Consumer, deadline: Instant, question: impl Fn(&Consumer, Duration) -> KafkaResult<T>) -> KafkaResult<T> {
    let mut turn = Duration::from_secs(1);
    loop {
        let left = deadline.saturating_duration_since(now());
        let answer = question(client, turn.min(left));
        let Err(error) = &answer else { return answer };
        // The client's errors are told while it is polled. NOTE: a log line between them ends a poll that has no time left.
        while client.poll(EVENTS).is_some() {}
        if left <= turn || client.context().denied().is_some() || !unanswered(error) {
            return answer;
        }
        turn *= 2;
    }
}

fn unanswered(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::OperationTimedOut | Code::BrokerTransportFailure))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_refusal_says_which_settings_to_correct() {
        let reason = "b:1/bootstrap: SASL authentication error: invalid credentials (after 3ms in state AUTH_REQ)";
        assert!(denial(Code::Authentication, reason).unwrap().contains("`sasl.password`"));
        let reason = "b:1/bootstrap: SSL handshake failed: broker certificate could not be verified";
        assert!(denial(Code::SSL, reason).unwrap().contains("`ssl.ca.location`"));
    }

    #[test]
    fn a_connection_that_breaks_within_the_handshake_is_an_outage() {
        let broken = "b:1/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: ";
        assert_eq!(denial(Code::Authentication, broken), None);
        assert_eq!(denial(Code::Authentication, "Disconnected: hung up from peer in state AUTH_LEGACY"), None);
        assert_eq!(denial(Code::SSL, "SSL handshake failed: connection reset"), None);
        assert_eq!(denial(Code::BrokerTransportFailure, "Connection refused"), None);
    }
}
