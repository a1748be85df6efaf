//! What a client says about itself when it joins.

use crate::calls::number::numbered;

numbered! {
    /// The library that a client is built with.
    Sdk {
        /// Not said, or newer than this list.
        Unknown = 0,
        /// JavaScript.
        Js = 1,
        /// Swift.
        Swift = 2,
        /// Android.
        Android = 3,
        /// Flutter.
        Flutter = 4,
        /// Go.
        Go = 5,
        /// Unity.
        Unity = 6,
        /// React Native.
        ReactNative = 7,
        /// Rust.
        Rust = 8,
        /// Python.
        Python = 9,
        /// C++.
        Cpp = 10,
        /// Unity in a browser.
        UnityWeb = 11,
        /// Node.
        Node = 12,
        /// Unreal.
        Unreal = 13,
        /// ESP32.
        Esp32 = 14,
        /// .NET.
        Dotnet = 15,
    }
}

/// LiveKit's `ClientInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The library.
    pub sdk: Sdk,
    /// The library's version.
    pub version: String,
    /// The signalling protocol's number.
    pub protocol: i32,
    /// The number of the protocol between clients.
    pub client_protocol: i32,
    /// Operating system.
    pub os: String,
    /// Its version.
    pub os_version: String,
    /// Device model.
    pub device_model: String,
    /// Browser.
    pub browser: String,
    /// Its version.
    pub browser_version: String,
    /// Where it connects from.
    pub address: String,
    /// Kind of network.
    pub network: String,
    /// LiveKit's numbers of what it can do beyond its protocol number.
    pub capabilities: Vec<i32>,
}

impl Default for ClientInfo {
    fn default() -> Self {
        Self {
            sdk: Sdk::Unknown,
            version: String::new(),
            protocol: 0,
            client_protocol: 0,
            os: String::new(),
            os_version: String::new(),
            device_model: String::new(),
            browser: String::new(),
            browser_version: String::new(),
            address: String::new(),
            network: String::new(),
            capabilities: Vec::new(),
        }
    }
}
