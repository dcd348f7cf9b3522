//! The service with which the engine synchronizes its copy of a context: `FileSync/DiffCopy`.
//!
//! Owns the sender's side of the protocol (fsutil `send.go` and `receive.go`, BuildKit `session/filesync`). The sender
//! lists all entries with their metadata. The engine requests the files whose metadata differs from its copy, each by
//! its position in the list, and gets their contents in any order, the pieces of a file in order. It ends with a packet
//! that the sender returns.
//!
//! A context that cannot be sent completely ends in an error, and BuildKit then drops its copy. It never takes a part
//! for the whole.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, watch};
use tonic::{Request, Response, Status, Streaming};

use super::context::SynchronizedFiles;
use crate::base::EntryKind;

mod packet;

/// The method to announce to the engine.
pub(super) const METHOD: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// The header of a request that has the state of the requested files. The engine takes it for patterns that the sender
/// is to apply, and repeats them here.
const STATE_HEADER: &str = "exclude-patterns";

/// The size in bytes of a piece of a file, and that of a batch of packets.
const PIECE: usize = 128 << 10;

/// How many batches may wait for the engine.
const WAITING_BATCHES: usize = 8;

/// How many threads read files.
const READERS: usize = 2;

/// Why a context could not be read, kept for the build to report.
#[derive(Clone, Default)]
pub(super) struct ContextFault(Arc<Mutex<Option<io::Error>>>);

impl ContextFault {
    /// Returns the error, if there was one.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: io::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// How many bytes of files were sent, and how many the engine has requested so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SentBytes {
    pub(super) sent: u64,
    pub(super) total: u64,
}

/// A context that a session offers.
#[derive(Clone)]
pub(super) struct ContextOffer {
    /// The files.
    pub(super) list: SynchronizedFiles,
    /// Receives the error if the context cannot be read.
    pub(super) fault: ContextFault,
    /// Counts what is sent.
    pub(super) bytes: Arc<watch::Sender<SentBytes>>,
}

/// The current offers of a session, which serves one build after the other.
#[derive(Clone, Default)]
pub(super) struct CurrentOffers(Arc<Mutex<Vec<ContextOffer>>>);

impl CurrentOffers {
    /// Offers the contexts of another build, or nothing.
    pub(super) fn set(&self, offers: Vec<ContextOffer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = offers;
    }

    /// Returns the offer with a state. Contexts with equal states have equal files.
    fn with_state(&self, state: &str) -> Option<ContextOffer> {
        let offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offers.iter().find(|offer| offer.list.copy.state == state).cloned()
    }
}

/// The service on a session.
pub(super) struct FileSyncService(pub(super) CurrentOffers);

/// Packets for the engine.
type PacketStream = BoxStream<'static, Result<Packet, Status>>;

#[tonic::async_trait]
impl FileSync for FileSyncService {
    type DiffCopyStream = PacketStream;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<PacketStream>, Status> {
        let state = request.metadata().get(STATE_HEADER).and_then(|state| state.to_str().ok());
        let offer = state.and_then(|state| self.0.with_state(state));
        let offer = offer.ok_or_else(|| Status::not_found("no such context"))?;
        Ok(Response::new(send(offer, request.into_inner())?))
    }

    type TarStreamStream = PacketStream;

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<PacketStream>, Status> {
        Err(Status::unimplemented("contexts are synchronized"))
    }
}

/// Packets in batches: a context can have many small files.
type Batches = mpsc::Sender<Result<Vec<Packet>, Status>>;

/// Sends the files of a context that the engine requests.
fn send(offer: ContextOffer, requests: Streaming<Packet>) -> io::Result<PacketStream> {
    let (to_engine, batches) = mpsc::channel(WAITING_BATCHES);
    let (order, orders) = channel();
    let orders = Arc::new(Mutex::new(orders));
    let sender = Arc::new(FileSender { offer, to_engine: to_engine.clone() });
    for _ in 0..READERS {
        let (sender, orders) = (Arc::clone(&sender), Arc::clone(&orders));
        thread::Builder::new().name("context".into()).spawn(move || sender.send_files(&orders))?;
    }
    let lister = Arc::clone(&sender);
    thread::Builder::new().name("context".into()).spawn(move || lister.send_list())?;
    tokio::spawn(receive(requests, order, sender, to_engine));
    let batches = stream::unfold(batches, |mut batches| async {
        batches.recv().await.map(|batch| (batch, batches))
    });
    let packets = batches.flat_map(|batch| match batch {
        Ok(packets) => stream::iter(packets).map(Ok).boxed(),
        Err(status) => stream::iter([Err(status)]).boxed(),
    });
    Ok(packets.boxed())
}

/// Passes on the engine's requests, until it has all files.
async fn receive(
    mut requests: Streaming<Packet>,
    order: Sender<usize>,
    sender: Arc<FileSender>,
    to_engine: Batches,
) {
    while let Ok(Some(packet)) = requests.message().await {
        match packet.r#type() {
            PacketType::PacketReq => {
                let index = usize::try_from(packet.id).ok();
                let header = index.and_then(|index| sender.offer.list.headers.get(index));
                let Some((index, header)) = index.zip(header) else { return };
                sender.offer.bytes.send_modify(|bytes| bytes.total += header.size);
                if order.send(index).is_err() {
                    return;
                }
            }
            PacketType::PacketFin => {
                // If the engine is gone, the build reports it.
                drop(to_engine.send(Ok(vec![packet::end()])).await);
                return;
            }
            PacketType::PacketStat | PacketType::PacketData | PacketType::PacketErr => return,
        }
    }
}

/// Sends the list and the files of a context.
struct FileSender {
    offer: ContextOffer,
    to_engine: Batches,
}

impl FileSender {
    /// Sends the metadata of all entries, and the end of the list.
    fn send_list(&self) {
        let headers = &self.offer.list.headers;
        let entries = headers.iter().map(packet::stat).chain([packet::end_of_list()]);
        let mut batch = Vec::new();
        for packet in entries {
            batch.push(packet);
            if batch.len() == 256 && !self.pass_on(&mut batch) {
                return;
            }
        }
        self.pass_on(&mut batch);
    }

    /// Sends files until there are no more orders.
    fn send_files(&self, orders: &Mutex<Receiver<usize>>) {
        let mut batch = FileBatch { sender: self, packets: Vec::new(), bytes: 0 };
        while let Some(index) = batch.next_order(orders) {
            if let Err(error) = batch.add(index) {
                if !self.to_engine.is_closed() {
                    self.offer.fault.keep(error);
                    self.fail();
                }
                return;
            }
        }
    }

    /// Sends a batch. Returns whether the engine is still there.
    fn pass_on(&self, batch: &mut Vec<Packet>) -> bool {
        batch.is_empty() || self.to_engine.blocking_send(Ok(std::mem::take(batch))).is_ok()
    }

    /// Ends the transfer, so that the engine does not wait for the rest.
    fn fail(&self) {
        let status = Status::aborted("the context could not be read");
        // If the engine is gone, there is nothing to report.
        drop(self.to_engine.blocking_send(Err(status)));
    }
}

/// Packets that are sent together.
struct FileBatch<'a> {
    sender: &'a FileSender,
    packets: Vec<Packet>,
    bytes: usize,
}

impl Drop for FileBatch<'_> {
    fn drop(&mut self) {
        // The engine would wait for the rest of a file whose reader panicked.
        if thread::panicking() {
            self.sender.fail();
        }
    }
}

impl FileBatch<'_> {
    /// Returns the next file to send; `None` if there are no more. Sends the batch before it waits: the engine may not
    /// request more until it has these files.
    fn next_order(&mut self, orders: &Mutex<Receiver<usize>>) -> Option<usize> {
        // Another thread that waits for an order has the lock.
        let next = orders.try_lock().ok().map(|orders| orders.try_recv());
        match next {
            Some(Ok(index)) => Some(index),
            Some(Err(TryRecvError::Disconnected)) => self.flush().then_some(None)?,
            Some(Err(TryRecvError::Empty)) | None => {
                if !self.flush() {
                    return None;
                }
                orders.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
            }
        }
    }

    /// Adds the content of a file and its end.
    fn add(&mut self, index: usize) -> io::Result<()> {
        let offer = &self.sender.offer;
        let id = u32::try_from(index).map_err(io::Error::other)?;
        if offer.list.headers[index].kind != EntryKind::File {
            return Err(io::Error::other("the engine requested the content of a directory"));
        }
        offer.list.files.read(index, &mut |bytes| {
            for piece in bytes.chunks(PIECE) {
                self.packets.push(packet::data(id, piece));
                self.bytes += piece.len();
                if self.bytes >= PIECE && !self.flush() {
                    return Err(io::Error::from(io::ErrorKind::BrokenPipe));
                }
            }
            Ok(())
        })?;
        // Only now is it certain that what was sent is the file's content.
        self.packets.push(packet::data(id, &[]));
        Ok(())
    }

    /// Sends the packets. Returns whether the engine is still there.
    fn flush(&mut self) -> bool {
        let count = std::mem::take(&mut self.bytes) as u64;
        self.sender.offer.bytes.send_if_modified(|bytes| {
            bytes.sent += count;
            count > 0
        });
        self.sender.pass_on(&mut self.packets)
    }
}
