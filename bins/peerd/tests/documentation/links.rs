//! Every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::pages::{all, prose, top};

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut headings = BTreeMap::new();
    let mut dead = Vec::new();
    for page in all() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&prose(&text)) {
            if let Some(why) = dead_end(&page, &link, &mut headings) {
                dead.push(format!("{}: ({link}) {why}", page.strip_prefix(top()).unwrap().display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn every_page_can_be_found_from_the_index() {
    let docs = top().join("docs");
    let text = std::fs::read_to_string(docs.join("README.md")).unwrap();
    let linked: BTreeSet<PathBuf> =
        links(&text).iter().filter_map(|link| docs.join(link).canonicalize().ok()).collect();
    let lost: Vec<_> = crate::pages::files_in(&docs, "md")
        .into_iter()
        .filter(|page| *page != docs.join("README.md") && !linked.contains(page))
        .collect();
    assert!(lost.is_empty(), "docs/README.md does not name {lost:?}");
}

/// Why nobody arrives.
fn dead_end(page: &Path, link: &str, headings: &mut BTreeMap<PathBuf, BTreeSet<String>>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.parent()?.join(path) };
    let Ok(target) = target.canonicalize() else { return Some("there is no such file".to_owned()) };
    if !target.starts_with(top()) {
        return Some("leads out of the repository".to_owned());
    }
    if anchor.is_empty() || target.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let there = headings.entry(target.clone()).or_insert_with(|| anchors(&target));
    (!there.contains(anchor)).then(|| format!("has no heading of that name; it has {there:?}"))
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((link, after)) = after.split_once(')') else { break };
            links.push(link.trim_matches(['<', '>']).to_owned());
            rest = after;
        }
    }
    links
}

/// The names under which a page's headings are reached, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for line in prose(&text).lines() {
        let Some(heading) = line.strip_prefix('#').map(|line| line.trim_start_matches('#').trim()) else {
            continue;
        };
        let plain = heading.to_lowercase();
        let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let times = seen.entry(slug.clone()).or_default();
        anchors.insert(if *times == 0 { slug.clone() } else { format!("{slug}-{times}") });
        *times += 1;
    }
    anchors
}
