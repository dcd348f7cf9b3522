//! How long a run will still take, by what it has told so far.
//!
//! Owns the estimate: the longest chain that is left, or all that is left shared out among the places,
//! whichever is more. Runs come within a few hundredths of that (see `benches/makespan`). It follows
//! events and knows no plan; where nothing is known of past builds it says nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::event::{Edge, Event};

/// What is left of a run.
#[derive(Debug, Default)]
pub struct Left {
    jobs: u32,
    index: HashMap<String, usize>,
    images: Vec<Image>,
    is_known: bool,
}

#[derive(Debug)]
struct Image {
    expected: Duration,
    state: State,
    children: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting,
    /// Since this time of the run.
    Running(Duration),
    Ended,
}

impl Left {
    /// Takes note of an event that happened at a time of the run.
    pub fn take(&mut self, at: Duration, event: &Event) {
        match event {
            Event::RunStarted { jobs, images, edges, expected, .. } => {
                *self = Left::of(*jobs, images, edges, expected);
            }
            Event::ImageStarted { image } => self.set(image, State::Running(at)),
            Event::ImageBuilt { image, .. }
            | Event::ImageFresh { image, .. }
            | Event::ImageFailed { image, .. }
            | Event::ImageSkipped { image, .. }
            | Event::ImageCancelled { image, .. } => self.set(image, State::Ended),
            _ => {}
        }
    }

    fn of(
        jobs: usize,
        images: &[String],
        edges: &[Edge],
        expected: &BTreeMap<String, Duration>,
    ) -> Left {
        let index: HashMap<String, usize> =
            images.iter().enumerate().map(|(at, image)| (image.clone(), at)).collect();
        let image = |name: &String| Image {
            expected: expected.get(name).copied().unwrap_or_default(),
            state: State::Waiting,
            children: Vec::new(),
        };
        let mut all: Vec<Image> = images.iter().map(image).collect();
        for edge in edges {
            if let (Some(child), Some(parent)) = (index.get(&edge.image), index.get(&edge.parent)) {
                all[*parent].children.push(*child);
            }
        }
        let jobs = u32::try_from(jobs.max(1)).unwrap_or(u32::MAX);
        Left { jobs, index, images: all, is_known: !expected.is_empty() }
    }

    fn set(&mut self, image: &str, state: State) {
        if let Some(at) = self.index.get(image) {
            self.images[*at].state = state;
        }
    }

    /// What is left at a time of the run.
    pub fn at(&self, now: Duration) -> Option<Duration> {
        let mut longest: Vec<Duration> = vec![Duration::ZERO; self.images.len()];
        let (mut most, mut total) = (Duration::ZERO, Duration::ZERO);
        // Images come after what they need, so those behind are known.
        for (at, image) in self.images.iter().enumerate().rev() {
            let own = match image.state {
                State::Waiting => image.expected,
                State::Running(since) => image.expected.saturating_sub(now.saturating_sub(since)),
                State::Ended => Duration::ZERO,
            };
            let behind = image.children.iter().map(|child| longest[*child]).max();
            longest[at] = own + behind.unwrap_or_default();
            most = most.max(longest[at]);
            total += own;
        }
        self.is_known.then(|| most.max(total / self.jobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::evaluate::NeedKind;

    #[test]
    fn the_longer_of_the_chain_and_the_shares_is_left() {
        let seconds = Duration::from_secs;
        let images = ["base", "dev", "release", "x"].map(str::to_owned).to_vec();
        let edge = |image: &str, parent: &str| {
            let (image, parent) = (image.to_owned(), parent.to_owned());
            Edge { image, parent, kind: NeedKind::From }
        };
        let expected = [("base", 10), ("dev", 20), ("release", 5), ("x", 8)];
        let expected: BTreeMap<String, Duration> =
            expected.iter().map(|(image, time)| ((*image).to_owned(), seconds(*time))).collect();
        let begun = |jobs, expected| Event::RunStarted {
            engine: String::new(),
            jobs,
            images: images.clone(),
            edges: vec![edge("dev", "base"), edge("release", "base")],
            expected,
        };
        let mut left = Left::default();
        assert_eq!(left.at(seconds(1)), None);
        left.take(seconds(0), &begun(2, BTreeMap::new()));
        assert_eq!(left.at(seconds(1)), None);
        left.take(seconds(0), &begun(2, expected.clone()));
        assert_eq!(left.at(seconds(0)), Some(seconds(30)));
        left.take(seconds(0), &begun(1, expected));
        assert_eq!(left.at(seconds(0)), Some(seconds(43)));
        left.take(seconds(2), &Event::ImageStarted { image: "base".to_owned() });
        assert_eq!(left.at(seconds(5)), Some(seconds(40)));
        // It takes longer than expected: nothing is known of how much.
        assert_eq!(left.at(seconds(60)), Some(seconds(33)));
        left.take(
            seconds(61),
            &Event::ImageCancelled { image: "base".to_owned(), took: seconds(59) },
        );
        assert_eq!(left.at(seconds(61)), Some(seconds(33)));
    }
}
