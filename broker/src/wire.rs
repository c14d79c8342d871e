//! Bytes of requests and responses, and nothing about what they mean.
//!
//! Messages are tables ([`messages`]): a field says its type and in which versions it exists, and one macro reads and writes them. What comes in is never believed: a
//! [`Reader`] knows how many bytes are left and how much memory the message may take, and gives [`Malformed`] instead of more. What goes out shares the batches of
//! the log instead of copying them.

pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod messages;
mod reader;
mod writer;

use bytes::Bytes;
use uuid::Uuid;

pub(crate) use api::{Api, Request};
pub(crate) use error::ErrorCode;
pub(crate) use reader::{Malformed, Reader};
pub(crate) use writer::{Frame, Writer};

/// Something that has a place in a message.
pub(crate) trait Wire: Sized {
    fn read(from: &mut Reader) -> Result<Self, Malformed>;
    fn write(&self, to: &mut Writer);
}

/// Record batches in a response, as the log holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records(pub(crate) Vec<Bytes>);

/// A struct that may be null, and always is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Null;

/// Structs of the protocol. `field: Type [4..] = -1` exists from version 4 on and is -1 before; without brackets it always exists.
///
/// Tagged fields are optional by their nature: they are skipped when read and never written.
macro_rules! wire {
    ($($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty $([$($versions:tt)+])? $(= $default:expr)?),* $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::wire::default!($($default)?)),* }
            }
        }

        impl $crate::wire::Wire for $name {
            fn read(from: &mut $crate::wire::Reader) -> Result<Self, $crate::wire::Malformed> {
                let message = Self {
                    $($field: if $crate::wire::exists!(from.version(), $($($versions)+)?) {
                        <$type as $crate::wire::Wire>::read(from)?
                    } else {
                        $crate::wire::default!($($default)?)
                    }),*
                };
                from.tags()?;
                Ok(message)
            }

            fn write(&self, to: &mut $crate::wire::Writer) {
                $(if $crate::wire::exists!(to.version(), $($($versions)+)?) {
                    $crate::wire::Wire::write(&self.$field, to);
                })*
                to.tags();
            }
        }

        #[cfg(test)]
        impl $crate::wire::tests::Sample for $name {
            fn sample(version: i16, numbers: &mut $crate::wire::tests::Numbers) -> Self {
                let mut sample = Self::default();
                $(if $crate::wire::exists!(version, $($($versions)+)?) {
                    sample.$field = $crate::wire::tests::Sample::sample(version, numbers);
                })*
                sample
            }
        }
    )+};
}

macro_rules! default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

macro_rules! exists {
    ($version:expr,) => { true };
    ($version:expr, $($versions:tt)+) => { ($($versions)+).contains(&$version) };
}

pub(crate) use {default, exists, wire};

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Wire for $type {
            fn read(from: &mut Reader) -> Result<Self, Malformed> {
                from.array().map($type::from_be_bytes)
            }

            fn write(&self, to: &mut Writer) {
                to.bytes(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(i8 i16 i32 i64);

impl Wire for bool {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(i8::read(from)? != 0)
    }

    fn write(&self, to: &mut Writer) {
        i8::from(*self).write(to);
    }
}

impl Wire for Uuid {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.array().map(Uuid::from_bytes)
    }

    fn write(&self, to: &mut Writer) {
        to.bytes(self.as_bytes());
    }
}

impl Wire for ErrorCode {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        i16::read(from).map(ErrorCode::from)
    }

    fn write(&self, to: &mut Writer) {
        i16::from(*self).write(to);
    }
}

impl Wire for Option<String> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let Some(length) = from.string_length()? else { return Ok(None) };
        let bytes = from.take(length)?;
        std::str::from_utf8(&bytes).map(|text| Some(text.to_owned())).map_err(|_| Malformed("text is not UTF-8"))
    }

    fn write(&self, to: &mut Writer) {
        to.string(self.as_deref());
    }
}

impl Wire for String {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Option::<String>::read(from)?.ok_or(Malformed("text is null"))
    }

    fn write(&self, to: &mut Writer) {
        to.string(Some(self));
    }
}

impl Wire for Option<Bytes> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.length()?.map(|length| from.take(length)).transpose()
    }

    fn write(&self, to: &mut Writer) {
        to.length(self.as_ref().map(Bytes::len));
        to.bytes(self.as_deref().unwrap_or_default());
    }
}

impl Wire for Bytes {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Option::<Bytes>::read(from)?.ok_or(Malformed("bytes are null"))
    }

    fn write(&self, to: &mut Writer) {
        to.length(Some(self.len()));
        to.bytes(self);
    }
}

impl Wire for Records {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self(Option::<Bytes>::read(from)?.filter(|bytes| !bytes.is_empty()).into_iter().collect()))
    }

    fn write(&self, to: &mut Writer) {
        to.length(Some(self.0.iter().map(Bytes::len).sum()));
        self.0.iter().for_each(|batch| to.share(batch));
    }
}

impl Wire for Null {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        if i8::read(from)? < 0 { Ok(Self) } else { Err(Malformed("a struct is not null")) }
    }

    fn write(&self, to: &mut Writer) {
        (-1i8).write(to);
    }
}

impl<T: Wire> Wire for Option<Vec<T>> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let Some(count) = from.length()? else { return Ok(None) };
        let mut items = from.room_for(count)?;
        for _ in 0..count {
            items.push(T::read(from)?);
        }
        Ok(Some(items))
    }

    fn write(&self, to: &mut Writer) {
        to.length(self.as_ref().map(Vec::len));
        self.iter().flatten().for_each(|item| item.write(to));
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Option::<Vec<T>>::read(from)?.ok_or(Malformed("an array is null"))
    }

    fn write(&self, to: &mut Writer) {
        to.length(Some(self.len()));
        self.iter().for_each(|item| item.write(to));
    }
}

#[cfg(test)]
pub(crate) mod tests;
