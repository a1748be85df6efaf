//! What `ringway dev` says once everything runs.

use std::path::PathBuf;

use serde::Serialize;

use crate::args::DEFAULT_PORT;

/// Everything that somebody who has just started the appliance needs.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) url: String,
    pub(super) port: u16,
    pub(super) key: &'static str,
    pub(super) secret: &'static str,
    pub(super) shards: Vec<ShardLine>,
    /// First and last port for forwards that name none.
    pub(super) rtp_ports: (u16, u16),
    pub(super) data_dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) dataplane_pid: Option<u32>,
    pub(super) controlplane_pid: Option<u32>,
}

/// Where a shard runs.
#[derive(Debug, Serialize)]
pub(super) struct ShardLine {
    pub(super) core: Option<u16>,
    pub(super) engine: &'static str,
}

impl Summary {
    /// The summary for people.
    pub(super) fn render(&self) -> String {
        let flag = match self.port {
            DEFAULT_PORT => String::new(),
            _ => format!(" --url {}", self.url),
        };
        let (first, last) = self.rtp_ports;
        format!(
            "Ringway runs. Ctrl-C ends it.\n\
             \n\
             {0:2}page         {url}/   (open it in a browser: camera, test pattern, the room)\n\
             {0:2}LiveKit      {ws}   (address for LiveKit's clients)\n\
             {0:2}HTTP API     {url}   (description: /openapi.json, metrics: /metrics)\n\
             {0:2}API key      {key}\n\
             {0:2}API secret   {secret}\n\
             {0:2}shards       {shards}\n\
             {0:2}RTP ports    {first}-{last} for forwards that name none\n\
             {0:2}data         {data}\n\
             {0:2}socket       {socket}\n\
             \n\
             Try in another terminal:\n\
             {0:2}ringway{flag} forward add --name studio --listen 5004 --to 127.0.0.1:6000\n\
             {0:2}ffmpeg -re -f lavfi -i testsrc2=size=640x360:rate=30 -c:v libx264 \
             -preset veryfast -tune zerolatency -g 30 -pix_fmt yuv420p -f rtp -sdp_file studio.sdp \
             'rtp://127.0.0.1:5004?pkt_size=1200'\n\
             {0:2}sed s/5004/6000/ studio.sdp > watch.sdp && ffplay -protocol_whitelist \
             file,udp,rtp watch.sdp\n\
             {0:2}ringway{flag} forward show studio\n\
             {0:2}ringway{flag} top",
            "",
            url = self.url,
            ws = self.url.replacen("http", "ws", 1),
            key = self.key,
            secret = self.secret,
            shards = self.shards(),
            data = self.data_dir.display(),
            socket = self.socket.display(),
        )
    }

    fn shards(&self) -> String {
        let core = |shard: &ShardLine| match shard.core {
            Some(core) => format!("core {core}: {}", shard.engine),
            None => format!("any core: {}", shard.engine),
        };
        let cores: Vec<String> = self.shards.iter().map(core).collect();
        format!("{} ({})", self.shards.len(), cores.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(port: u16) -> Summary {
        Summary {
            url: format!("http://127.0.0.1:{port}"),
            port,
            key: "devkey",
            secret: "hush",
            shards: vec![
                ShardLine { core: Some(1), engine: "io_uring" },
                ShardLine { core: None, engine: "plain" },
            ],
            rtp_ports: (30000, 39998),
            data_dir: "/d".into(),
            socket: "/s".into(),
            dataplane_pid: Some(1),
            controlplane_pid: None,
        }
    }

    #[test]
    fn says_what_matters() {
        let text = summary(7880).render();
        for part in [
            "  page         http://127.0.0.1:7880/ ",
            "  LiveKit      ws://127.0.0.1:7880 ",
            "  HTTP API     http://127.0.0.1:7880 ",
            "  API secret   hush\n",
            "  shards       2 (core 1: io_uring, any core: plain)\n",
            "30000-39998",
            "  ringway forward add --name studio ",
            "ffmpeg ",
        ] {
            assert!(text.contains(part), "{text}\nlacks {part:?}");
        }
        assert!(summary(9).render().contains("ringway --url http://127.0.0.1:9 forward add"));
    }
}
