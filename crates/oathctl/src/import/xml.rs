//! XML, in any format.

use roxmltree::{Document, Node};

/// Reads a document. The error goes on after the file's name.
pub(super) fn parse(text: &str) -> Result<Document<'_>, String> {
    // White space before `<?xml` is none of XML's, but editors and mail leave some there.
    let xml = text.trim_start();
    let before = &text[..text.len() - xml.len()];
    Document::parse(xml).map_err(|error| malformed(&error, before))
}

/// What is wrong with XML. Lines count as an editor's do, `before` included.
fn malformed(error: &roxmltree::Error, before: &str) -> String {
    match error {
        roxmltree::Error::DtdDetected => {
            "has a document type definition (DOCTYPE), which no export needs; remove it".into()
        }
        roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream => {
            "is XML that breaks off: its end is missing".into()
        }
        error => {
            let at = error.pos();
            let lines = before.matches('\n').count();
            let indent = match at.row {
                1 => before
                    .rsplit('\n')
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .count(),
                _ => 0,
            };
            format!(
                "is not well-formed XML at line {}, column {}",
                at.row as usize + lines,
                at.col as usize + indent
            )
        }
    }
}

/// The children of this name.
pub(super) fn children<'a>(
    node: Node<'a, 'a>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children()
        .filter(move |child| child.has_tag_name(name))
}

/// The text of the child of this name, white space around it left out.
pub(super) fn text<'a>(node: Node<'a, 'a>, name: &'a str) -> &'a str {
    let child = children(node, name).next();
    child
        .and_then(|child| child.text())
        .unwrap_or_default()
        .trim()
}
