//! One file per rule. Each has its data at the top and a `check` from a tree to its findings.

pub mod borders;
pub mod commands;
pub mod configuration;
pub mod functions;
pub mod imports;
pub mod leftovers;
pub mod licences;
pub mod links;
pub mod manifests;
pub mod names;
pub mod sizes;
pub mod sleeps;
pub mod third_party;
pub mod top_level;
pub mod unsafety;

#[cfg(test)]
pub(crate) fn found(findings: &[crate::tree::Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}
