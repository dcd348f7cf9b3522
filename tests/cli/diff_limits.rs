//! `layers diff` at its limits: names that are markup, and more images than a comment can contain.

use std::fs;

use crate::diff::{diff, json, shop};
use crate::git::{commit, git_in};
use crate::harness::Project;

/// File names with a meaning in Markdown or Mermaid.
const ODD: [&str; 7] =
    ["a|b", "`x`", "<img src=x>", "two\nlines", "```\n## title", "\\|", "%%{init}%%"];

#[test]
fn odd_names_are_escaped_in_markdown() {
    let project = shop();
    for (number, name) in ODD.iter().enumerate() {
        project.write(&format!("docker/i{number}/{name}"), "x\n");
        project.write(&format!("docker/i{number}/Dockerfile"), "FROM scratch\nCOPY . /\n");
    }
    project.write(
        "layers.toml",
        "[image.'%%{init: {}}%%|`x`<b>']\ndockerfile = 'docker/i0/Dockerfile'\nreference = 'x/y'\n",
    );
    commit(&project);
    for (number, name) in ODD.iter().enumerate() {
        project.write(&format!("docker/i{number}/{name}"), "y\n");
    }
    let (_, markdown) = diff(&project);
    for row in [
        "| `i1` | <code>docker&#47;i1&#47;&#96;x&#96;</code> changed |\n",
        "| `i2` | `docker/i2/<img src=x>` changed |\n",
        "| `i3` | `docker/i3/twolines` changed |\n",
        "| <code>&#37;&#37;&#123;init&#58; &#123;&#125;&#125;&#37;&#37;&#124;&#96;x&#96;&#60;b&#62;</code> | <code>docker&#47;i0&#47;a&#124;b</code> changed |\n",
    ] {
        assert!(markdown.contains(row), "{row}{markdown}");
    }
    assert!(
        markdown.contains("[\"#37;#37;{init: {}}#37;#37;|#96;x#96;#lt;b#gt;<br/>changed\"]"),
        "{markdown}"
    );
    assert_eq!(markdown.matches("```").count(), 2, "{markdown}");
    assert!(!markdown.contains("## title"), "{markdown}");
    let rows = markdown.lines().filter(|line| line.starts_with('|'));
    assert!(
        rows.clone().count() > 8 && rows.clone().all(|row| row.matches('|').count() == 3),
        "{markdown}"
    );
}

/// 300 images with long names, in a tree of 17 branches.
fn large() -> Project {
    let name =
        |number: usize| format!("{}-{number:03}", "a-rather-long-name-of-an-image".repeat(3));
    let mut project = Project::new();
    for number in 0..300 {
        let from = match number {
            0 => "debian:12".to_owned(),
            _ => format!("acme/shop-{}", name(number / 17)),
        };
        project = project.dockerfile(&name(number), &format!("FROM {from}\nCOPY . /\n"));
    }
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    project
}

#[test]
fn a_diff_of_300_images_fits_in_a_comment() {
    let project = large();
    let directories: Vec<_> = fs::read_dir(project.root().join("docker")).unwrap().collect();
    let mut directories: Vec<_> =
        directories.into_iter().map(|directory| directory.unwrap().path()).collect();
    directories.sort();
    // One leaf is drawn with its parents.
    fs::write(directories[299].join("new"), "x").unwrap();
    let (_, markdown) = diff(&project);
    let left =
        "\nThe graph shows 2 of 300 images: the rebuilt images and their direct dependencies.\n";
    assert!(markdown.contains("```mermaid\n") && markdown.contains(left), "{markdown}");
    // For the root, only the root and its neighbors can be drawn.
    fs::write(directories[0].join("new"), "x").unwrap();
    let markdown = project.run("diff HEAD").code(0).out();
    let left =
        "\nThe graph shows 17 of 300 images: the changed images and their direct neighbors.\n";
    assert!(markdown.contains(left), "{markdown}");
    assert!(markdown.len() < 65_536, "{}", markdown.len());
    assert!(markdown.contains("| `a-rather-long"), "{markdown}");
    // Everything with all edges is too large for a drawing and for complete lists.
    for directory in &directories {
        let path = directory.join("Dockerfile");
        let text = fs::read_to_string(&path).unwrap();
        let from = text.lines().next().unwrap().replace("FROM ", "");
        let text = format!("FROM debian:13\nCOPY --from={from} / /\n");
        fs::write(path, text).unwrap();
    }
    let markdown = project.run("diff HEAD").code(0).out();
    assert!(markdown.len() < 65_536 && markdown.len() > 40_000, "{}", markdown.len());
    assert!(
        markdown.contains("\nThe graph is too large to show here. `layers graph --html`"),
        "{markdown}"
    );
    let more =
        regex::Regex::new(r"\n… and \d+ more images\. `layers diff HEAD --json` shows all\.\n")
            .unwrap();
    assert!(more.is_match(&markdown), "{markdown}");
    assert!(markdown.contains(" more edges. `layers diff HEAD --json` shows all."), "{markdown}");
    assert_eq!(json(&project, "HEAD")["affected"].as_array().unwrap().len(), 300);
}
