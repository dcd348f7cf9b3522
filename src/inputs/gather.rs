//! From images to their own inputs, identities of what they need not yet among them.
//!
//! Owns the order of the work: images that share a context and an ignore file share one walk, a
//! file is read once however many images read it, and not at all where its digest is known. What
//! is hashed is what will be sent: the archive carries the digests along.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::digests::Digests;
use super::reading::{Buffer, digest_entry};
use super::{ContextArchive, Inputs, Use, own, select};
use crate::base::{IdMap, ImageId, Place, RelPath, clock};
use crate::graph::{Graph, Image};
use crate::inputs::Identity;
use crate::scan::context::{Context, Entry, EntryKind};
use crate::scan::ignore_file::{IgnoreFile, find_ignore_file};

/// The own inputs of an image, and what they were taken from.
#[derive(Debug, Clone)]
pub struct Own {
    /// All inputs; the needs have no identities yet.
    pub inputs: Inputs,
    /// What each of the needs is.
    pub needs: Vec<NeedOf>,
    /// The files, ready to be sent.
    pub archive: Arc<ContextArchive>,
    /// Where the instructions of each stage of the inputs are written.
    pub places: Vec<StagePlaces>,
    /// The context's folder below the repository's root.
    pub context: RelPath,
}

/// Where a stage's `FROM` and instructions are written.
#[derive(Debug, Clone)]
pub struct StagePlaces {
    /// The `FROM`.
    pub from: Place,
    /// The instructions.
    pub instructions: Vec<Place>,
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeedOf {
    /// An image of the repository.
    Image(ImageId),
    /// Another, by its normalised reference.
    External(String),
}

/// An external as the engine holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// What it is.
    pub identity: Identity,
    /// Whether it carries `ONBUILD` lines.
    pub has_triggers: bool,
}

/// The externals by their normalised references; nothing for those that the engine lacks.
pub type Externals = BTreeMap<String, Option<Outside>>;

/// What inputs are gathered of.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The repository's root.
    pub root: &'a Path,
    /// Its images.
    pub graph: &'a Graph,
    /// The platform that is built for.
    pub platform: &'a str,
    /// The externals of all images that are asked for.
    pub externals: &'a Externals,
}

/// The own inputs of images; nothing for the others. What can't be read is told in a message of
/// the image that reads it.
pub fn gather(
    asked: Asked<'_>,
    images: &[ImageId],
    digests: &mut Digests,
) -> IdMap<Option<Result<Own, String>>> {
    let mut gathered = IdMap::from_fn(asked.graph.images.len(), |_| None);
    let readers: Vec<Result<Reader<'_>, String>> =
        images.par_iter().map(|image| Reader::of(asked, *image)).collect();
    let mut walks: BTreeMap<(RelPath, Option<PathBuf>), Vec<Reader<'_>>> = BTreeMap::new();
    for (image, reader) in images.iter().zip(readers) {
        match reader {
            Ok(reader) => walks.entry(reader.walk.clone()).or_default().push(reader),
            Err(message) => gathered[*image] = Some(Err(message)),
        }
    }
    let walked: Vec<Walked<'_>> =
        walks.into_par_iter().map(|(_, readers)| walk(asked.root, readers)).collect();
    let read = read_files(&walked, digests);
    let owned: Vec<Vec<(ImageId, Result<Own, String>)>> = walked
        .into_par_iter()
        .zip(read)
        .map(|(walked, read)| {
            let Walked { readers, context, chosen } = walked;
            let each = readers.iter().zip(chosen);
            each.map(|(reader, chosen)| match &context {
                Ok(context) => (reader.id, reader.own(asked, context, chosen, &read)),
                Err(message) => (reader.id, Err(message.clone())),
            })
            .collect()
        })
        .collect();
    for (image, own) in owned.into_iter().flatten() {
        gathered[image] = Some(own);
    }
    gathered
}

/// An image that reads a context.
struct Reader<'a> {
    id: ImageId,
    image: &'a Image,
    uses: Vec<Use>,
    whole: bool,
    /// The folder, and the ignore file that counts.
    walk: (RelPath, Option<PathBuf>),
}

impl<'a> Reader<'a> {
    fn of(asked: Asked<'a>, id: ImageId) -> Result<Reader<'a>, String> {
        let image = &asked.graph.images[id];
        let (uses, whole) = own::uses_of(image, asked.externals);
        let folder = image.context.under(asked.root);
        let ignore = find_ignore_file(&image.dockerfile.under(asked.root), &folder)
            .map_err(|error| format!("can't look for the ignore file: {error}"))?;
        Ok(Reader { id, image, uses, whole, walk: (image.context.clone(), ignore) })
    }

    fn own(
        &self,
        asked: Asked<'_>,
        context: &Arc<Context>,
        chosen: Vec<usize>,
        read: &BTreeMap<usize, Result<blake3::Hash, String>>,
    ) -> Result<Own, String> {
        let mut digests = Vec::with_capacity(chosen.len());
        for number in &chosen {
            digests.push(match read.get(number) {
                Some(Ok(digest)) => Some(*digest),
                Some(Err(message)) => return Err(message.clone()),
                None => None,
            });
        }
        let entries = chosen.iter().map(|number| &context.entries[*number]);
        let files = entries.zip(&digests).map(|(entry, digest)| own::file_of(entry, *digest));
        let inputs = own::inputs_of(self.image, asked.platform, files.collect(), self.whole);
        let archive = ContextArchive::of(Arc::clone(context), chosen).with_digests(digests);
        Ok(Own {
            inputs,
            needs: own::needs_of(self.image),
            archive: Arc::new(archive),
            places: own::places_of(self.image),
            context: self.image.context.clone(),
        })
    }
}

/// One walk, and what each of its readers takes of it.
struct Walked<'a> {
    readers: Vec<Reader<'a>>,
    context: Result<Arc<Context>, String>,
    chosen: Vec<Vec<usize>>,
}

fn walk<'a>(root: &Path, readers: Vec<Reader<'a>>) -> Walked<'a> {
    let context = readers.first().map_or_else(
        || Err("nobody reads this context".to_owned()),
        |reader| walk_for(root, reader.image, readers.iter().all(|it| it.uses.is_empty())),
    );
    let chosen = match &context {
        Ok(context) => {
            // What we keep ourselves is nobody's input, or nothing would ever be fresh.
            let ours = root.canonicalize().unwrap_or_else(|_| root.to_owned());
            let ours = ours.join(super::memory::FOLDER);
            let is_ours =
                |number: &usize| context.path_of(&context.entries[*number]).starts_with(&ours);
            let choose = |reader: &Reader<'_>| -> Vec<usize> {
                let chosen = select(context, &reader.uses).into_iter();
                chosen.filter(|number| !is_ours(number)).collect()
            };
            readers.par_iter().map(choose).collect()
        }
        Err(_) => vec![Vec::new(); readers.len()],
    };
    Walked { readers, context: context.map(Arc::new), chosen }
}

pub(super) fn walk_for(
    root: &Path,
    image: &Image,
    nothing_is_read: bool,
) -> Result<Context, String> {
    let folder = image.context.under(root);
    if nothing_is_read && folder.is_dir() {
        return Ok(Context { root: folder, entries: Vec::new() });
    }
    let (ignore, problems) = IgnoreFile::load(root, &image.dockerfile, &image.context)
        .map_err(|error| error.to_string())?;
    if let Some(problem) = problems.first() {
        let place = problem.labels.first().map(|label| label.source.place(label.span));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        return Err(format!("{place}{}", problem.message));
    }
    Context::walk(&folder, &ignore).map_err(|error| error.to_string())
}

/// For each walk the digests of the files that anybody reads, by the entries' numbers.
fn read_files(
    walked: &[Walked<'_>],
    digests: &mut Digests,
) -> Vec<BTreeMap<usize, Result<blake3::Hash, String>>> {
    let mut read = Vec::with_capacity(walked.len());
    let mut missing: Vec<(usize, usize, &Context, &Entry)> = Vec::new();
    for (at, walked) in walked.iter().enumerate() {
        let mut known = BTreeMap::new();
        if let Ok(context) = &walked.context {
            let mut wanted: Vec<usize> = walked.chosen.concat();
            wanted.sort_unstable();
            wanted.dedup();
            for number in wanted {
                let entry = &context.entries[number];
                if entry.kind != EntryKind::File {
                    continue;
                }
                match digests.find(&context.path_of(entry), &entry.stat) {
                    Some(digest) => drop(known.insert(number, Ok(digest))),
                    None => missing.push((at, number, context, entry)),
                }
            }
        }
        read.push(known);
    }
    // Taken before the first byte is read, so that every later change is younger.
    let read_at = clock::now();
    let found: Vec<Result<blake3::Hash, String>> = missing
        .par_iter()
        .map_init(Buffer::default, |buffer, (_, _, context, entry)| {
            digest_entry(&context.root, entry, buffer).map_err(|error| error.to_string())
        })
        .collect();
    for ((at, number, context, entry), digest) in missing.into_iter().zip(found) {
        if let Ok(digest) = &digest {
            digests.note(&context.path_of(entry), &entry.stat, read_at, digest);
        }
        read[at].insert(number, digest);
    }
    read
}
