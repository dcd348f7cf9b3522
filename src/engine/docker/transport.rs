//! The connection to dockerd's own BuildKit.
//!
//! Owns the upgrade of connections to gRPC: `/grpc` with a `/session` next to it, as in Docker's buildx. Its
//! exporter puts images into the engine's store, whichever kind that is.

use hyper::{Method, StatusCode};

use super::connection::{EngineConnector, ExchangeError, PlainConnection};
use super::errors::{explain, never_answers, no_buildkit};
use crate::engine::buildkit::{Connection, Transport};

impl EngineConnector {
    fn explain_upgrade(&self, broken: &ExchangeError) -> anyhow::Error {
        match broken {
            ExchangeError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
                no_buildkit(&self.endpoint)
            }
            other => explain(other, &self.endpoint),
        }
    }
}

impl Transport for EngineConnector {
    const EXPORTER: &'static str = "moby";

    fn address(&self) -> String {
        self.endpoint.address.to_string()
    }

    async fn open_session(&self, id: &str, methods: &[&str]) -> anyhow::Result<Connection> {
        let mut headers =
            vec![("X-Docker-Expose-Session-Uuid", id), ("X-Docker-Expose-Session-Name", "layers")];
        headers.extend(methods.iter().map(|it| ("X-Docker-Expose-Session-Grpc-Method", *it)));
        let opened = self.upgrade("/session", &headers).await;
        opened.map_err(|broken| self.explain_upgrade(&broken))
    }

    async fn open_control(&self) -> anyhow::Result<Connection> {
        self.upgrade("/grpc", &[]).await.map_err(|broken| self.explain_upgrade(&broken))
    }

    async fn ping(&self) {
        let mut fresh = PlainConnection::default();
        drop(self.call(&mut fresh, Method::GET, "/_ping").await);
    }

    fn never_answers(&self) -> anyhow::Error {
        never_answers(&self.endpoint)
    }

    fn talks_otherwise(&self, cause: String) -> anyhow::Error {
        explain(&ExchangeError::Talk(cause), &self.endpoint)
    }
}
