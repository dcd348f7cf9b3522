//! Settings of single images.
//!
//! Owns how they are written: all settings of an image on one line.

use super::wording::key;

/// The settings of single images, in the order in which the images got one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OwnSettings(Vec<(String, Vec<String>)>);

impl OwnSettings {
    /// Adds a setting, such as `context = "."`.
    pub(super) fn add(&mut self, image: &str, setting: String) {
        match self.0.iter_mut().find(|(name, _)| name == image) {
            Some((_, settings)) => settings.push(setting),
            None => self.0.push((image.to_owned(), vec![setting])),
        }
    }

    /// Adds all settings of others.
    pub(super) fn extend(&mut self, others: &OwnSettings) {
        for (image, settings) in &others.0 {
            settings.iter().for_each(|setting| self.add(image, setting.clone()));
        }
    }

    /// Returns the number of lines, without that of the table that they are in.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many lines are added to these by others.
    pub(super) fn added_by(&self, others: &OwnSettings) -> usize {
        let is_new = |(image, _): &&(String, Vec<String>)| self.0.iter().all(|(it, _)| it != image);
        others.0.iter().filter(is_new).count()
    }

    /// Removes all but the first lines.
    pub(super) fn truncate(&mut self, lines: usize) {
        self.0.truncate(lines);
    }

    /// Returns the lines below `[image]`.
    pub(super) fn write(&self) -> String {
        let line = |(image, settings): &(String, Vec<String>)| match settings.as_slice() {
            [only] => format!("{}.{only}\n", key(image)),
            all => format!("{} = {{ {} }}\n", key(image), all.join(", ")),
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_of_an_image_are_on_one_line() {
        let mut settings = OwnSettings::default();
        settings.add("a.1", "context = \".\"".into());
        settings.add("b", "args.X = \"1\"".into());
        settings.add("b", "args.Y = \"2\"".into());
        let mut more = OwnSettings::default();
        more.add("b", "target = \"z\"".into());
        more.add("c", "target = \"z\"".into());
        assert_eq!(settings.added_by(&more), 1);
        settings.extend(&more);
        assert_eq!(
            settings.write(),
            "\"a.1\".context = \".\"\nb = { args.X = \"1\", args.Y = \"2\", target = \"z\" }\n\
             c.target = \"z\"\n"
        );
        settings.truncate(1);
        assert_eq!((settings.len(), settings.is_empty()), (1, false));
    }
}
