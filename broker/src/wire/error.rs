//! The error codes of the protocol, as far as this broker gives them.

macro_rules! errors {
    ($($name:ident = $code:literal),* $(,)?) => {
        /// What is wrong with a request, as a client is told.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum ErrorCode {
            #[default]
            None,
            $($name,)*
            /// One that this broker never gives.
            Other(i16),
        }

        impl From<i16> for ErrorCode {
            fn from(code: i16) -> Self {
                match code {
                    0 => Self::None,
                    $($code => Self::$name,)*
                    code => Self::Other(code),
                }
            }
        }

        impl From<ErrorCode> for i16 {
            fn from(error: ErrorCode) -> Self {
                match error {
                    ErrorCode::None => 0,
                    $(ErrorCode::$name => $code,)*
                    ErrorCode::Other(code) => code,
                }
            }
        }
    };
}

errors! {
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    MessageTooLarge = 10,
    OffsetMetadataTooLarge = 12,
    InvalidTopic = 17,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    InvalidTimestamp = 32,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    InvalidRequest = 42,
    PolicyViolation = 44,
    OutOfOrderSequence = 45,
    InvalidProducerEpoch = 47,
    InvalidTxnState = 48,
    InvalidProducerIdMapping = 49,
    InvalidTransactionTimeout = 50,
    ConcurrentTransactions = 51,
    TransactionalIdAuthorizationFailed = 53,
    OperationNotAttempted = 55,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    UnknownLeaderEpoch = 75,
    UnsupportedCompressionType = 76,
    MemberIdRequired = 79,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    GroupSubscribedToTopic = 86,
    InvalidRecord = 87,
    UnstableOffsetCommit = 88,
    ProducerFenced = 90,
    UnknownTopicId = 100,
    TransactionalIdNotFound = 105,
}

impl ErrorCode {
    /// The code of an outcome.
    pub(crate) fn of<T>(outcome: &Result<T, ErrorCode>) -> Self {
        outcome.as_ref().err().copied().unwrap_or_default()
    }
}
