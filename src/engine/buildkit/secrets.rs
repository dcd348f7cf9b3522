//! The services of a session that provide secrets and forward SSH agents.
//!
//! Owns the two gRPC services and the requests to an agent that they allow. A build may list keys and sign data,
//! and nothing else: otherwise it could remove keys from the user's agent, add its own, or lock the agent. Requests
//! are therefore read one by one. A request that is not allowed gets the response that agents give to unknown
//! requests (draft-ietf-sshm-ssh-agent).

use std::path::PathBuf;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets as SecretsService;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse,
};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::base::screen::visible_path;
use crate::engine::Secrets;

/// The methods to serve if there are secrets.
pub(super) const SECRET_METHODS: [&str; 1] = ["/moby.buildkit.secrets.v1.Secrets/GetSecret"];

/// The methods to serve if there are agents.
pub(super) const AGENT_METHODS: [&str; 2] =
    ["/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"];

/// The header in which the engine names the agent to use.
const AGENT_ID: &str = "buildkit.ssh.id";

/// The maximum length of an agent's message in bytes (OpenSSH's own limit).
const LONGEST: usize = 256 << 10;

/// The request types that a build may send to an agent: list keys, and sign.
const ALLOWED: [u8; 2] = [11, 13];

/// The response to all other requests: a message of one byte, `SSH_AGENT_FAILURE`.
const REFUSAL: [u8; 5] = [0, 0, 0, 1, 5];

/// Serves the secrets and agents of a run.
#[derive(Clone)]
pub(super) struct SecretProvider(pub(super) Secrets);

#[tonic::async_trait]
impl SecretsService for SecretProvider {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        match self.0.value(&id) {
            Some(value) => Ok(Response::new(GetSecretResponse { data: value.to_vec() })),
            // This code means that the secret is missing, which the engine accepts for optional mounts.
            None => Err(Status::not_found(format!("the secret `{id}` was not provided"))),
        }
    }
}

impl SecretProvider {
    fn agent(&self, id: &str) -> Result<PathBuf, Status> {
        let found = self.0.agent(id).map(PathBuf::from);
        found.ok_or_else(|| Status::not_found(format!("the ssh agent `{id}` was not provided")))
    }
}

#[tonic::async_trait]
impl Ssh for SecretProvider {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.agent(&request.into_inner().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(AGENT_ID).and_then(|id| id.to_str().ok());
        let socket = self.agent(id.unwrap_or_default())?;
        let agent = UnixStream::connect(&socket).await.map_err(|error| {
            let path = visible_path(&socket);
            Status::unavailable(format!("can't connect to the ssh agent at {path}: {error}"))
        })?;
        let (to, from) = mpsc::channel(1);
        let questions = request.into_inner();
        // This task ends with the stream, or at the latest with the build's runtime.
        tokio::spawn(async move {
            let questions = stream::unfold(questions, |mut questions| async {
                let message = questions.message().await.ok()??;
                Some((message.data, questions))
            });
            relay(questions.boxed(), agent, &to).await;
        });
        let answers = stream::unfold(from, |mut from| async {
            from.recv().await.map(|data| (Ok(BytesMessage { data }), from))
        });
        Ok(Response::new(answers.boxed()))
    }
}

/// Forwards the allowed requests one after the other, until either side closes the stream.
async fn relay(
    mut questions: BoxStream<'_, Vec<u8>>,
    mut agent: impl AsyncRead + AsyncWrite + Unpin,
    answers: &mpsc::Sender<Vec<u8>>,
) {
    let mut waiting = Vec::new();
    while let Some(bytes) = questions.next().await {
        waiting.extend_from_slice(&bytes);
        loop {
            let question = match take_message(&mut waiting) {
                Ok(Some(question)) => question,
                Ok(None) => break,
                Err(TooLong) => return,
            };
            let answer = match question.get(4) {
                Some(kind) if ALLOWED.contains(kind) => ask(&mut agent, &question).await,
                _ => Some(REFUSAL.to_vec()),
            };
            let Some(answer) = answer else { return };
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Sends the agent one request and returns its response; `None` if the agent is gone.
async fn ask(
    agent: &mut (impl AsyncRead + AsyncWrite + Unpin),
    question: &[u8],
) -> Option<Vec<u8>> {
    agent.write_all(question).await.ok()?;
    let mut answer = vec![0; 4];
    agent.read_exact(&mut answer).await.ok()?;
    let length = length_of(&answer).ok()??;
    answer.resize(length, 0);
    agent.read_exact(&mut answer[4..]).await.ok()?;
    Some(answer)
}

struct TooLong;

/// Removes and returns the first message, including its length prefix, if it is complete.
fn take_message(bytes: &mut Vec<u8>) -> Result<Option<Vec<u8>>, TooLong> {
    let Some(length) = length_of(bytes)?.filter(|length| *length <= bytes.len()) else {
        return Ok(None);
    };
    let rest = bytes.split_off(length);
    Ok(Some(std::mem::replace(bytes, rest)))
}

/// Returns the length of the message that begins with these bytes, including its length prefix.
fn length_of(bytes: &[u8]) -> Result<Option<usize>, TooLong> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    match usize::try_from(u32::from_be_bytes(*length)) {
        Ok(length) if length <= LONGEST => Ok(Some(length + 4)),
        _ => Err(TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length, content].concat()
    }

    /// Returns what the agent receives and what is answered when `pieces` arrive.
    fn relayed(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, mut agent) = tokio::io::duplex(1 << 20);
            let (to, mut from) = mpsc::channel(100);
            // All responses are available before the requests, so each request in turn reads its own.
            for number in 0..9 {
                agent.write_all(&message(&[12, number])).await.unwrap();
            }
            let questions = stream::iter(pieces.iter().map(|piece| piece.to_vec()));
            relay(questions.boxed(), ours, &to).await;
            drop(to);
            let mut answers = Vec::new();
            while let Some(answer) = from.recv().await {
                answers.push(answer);
            }
            let mut requests = Vec::new();
            agent.read_to_end(&mut requests).await.unwrap();
            (requests, answers)
        })
    }

    #[test]
    fn the_ssh_agent_proxy_only_allows_listing_and_signing() {
        let (list, sign) = (message(&[11]), message(b"\x0dkey and data"));
        let all = [list.clone(), sign.clone()].concat();
        let answers = vec![message(&[12, 0]), message(&[12, 1])];
        assert_eq!(relayed(&[&list, &sign]), (all.clone(), answers.clone()));
        // Messages can be split anywhere.
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(relayed(&bytes), (all.clone(), answers.clone()));
        assert_eq!(relayed(&[&all]), (all, answers));
        // Add, remove, remove all, lock, unlock, an extension, and an empty message.
        for kind in [17, 18, 19, 22, 23, 27] {
            let (requests, answers) = relayed(&[&message(&[kind, 1, 2]), &list]);
            assert_eq!(
                (requests, answers),
                (list.clone(), vec![REFUSAL.to_vec(), message(&[12, 0])])
            );
        }
        assert_eq!(relayed(&[&message(&[])]), (Vec::new(), vec![REFUSAL.to_vec()]));
    }

    #[test]
    fn invalid_ssh_agent_messages_close_the_connection() {
        assert_eq!(relayed(&[&[0xff; 8], &message(&[11])]), (Vec::new(), Vec::new()));
        assert_eq!(relayed(&[&[0, 0]]), (Vec::new(), Vec::new()));
    }
}
